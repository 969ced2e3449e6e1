package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

const (
	lagRounds = 10
	lagDelay  = 100 * time.Millisecond // of the late node: far longer than a read takes
)

// lateOf is the node of a cluster that the scenario lag makes late: the last one that
// does not lead; nil if there is none.
func lateOf(c *config.Cluster) *config.Replica {
	for i := range slices.Backward(c.Replicas) {
		if c.Replicas[i].ID != c.Leader() {
			return &c.Replicas[i]
		}
	}
	return nil
}

// fitsLag wants a follower that may be late, and one that is not.
func fitsLag(c *config.Cluster) error {
	late := lateOf(c)
	if len(c.Replicas) < 3 {
		return errors.New("it needs two followers, one of them late")
	}
	for _, r := range c.Replicas {
		if d := time.Duration(r.ApplyDelay); d > lagDelay || d > 0 && r.ID != late.ID {
			return fmt.Errorf("it makes %s late by %v, and %s is late by %v", late.ID, lagDelay, r.ID, d)
		}
	}
	return nil
}

func lagOf(o Options, n *node) time.Duration {
	if string(n.ID) == lateOf(o.Layout.cluster).ID {
		return lagDelay
	}
	return 0
}

// behind is what the phases of the scenario lag share.
type behind struct {
	*demo
	prompt, late *node
}

func playLag(ctx context.Context, d *demo) error {
	b := &behind{demo: d}
	return d.phases(ctx, []phase{
		{"a follower that is late", b.boot},
		{"a read that misses what its reader wrote", func(ctx context.Context) error {
			return b.both(ctx, "reads that missed their reader's own write", b.own)
		}},
		{"a read that goes back in time", func(ctx context.Context) error {
			return b.both(ctx, "reads that went back in time", b.back)
		}},
		{"an answer that is seen before its question", func(ctx context.Context) error {
			return b.both(ctx, "answers without their question", b.answer)
		}},
		{"what everybody holds", b.same},
	})
}

func (b *behind) boot(ctx context.Context) error {
	s, err := b.roles(ctx)
	if err != nil {
		return err
	}
	for _, n := range b.followers() {
		switch {
		case n.ApplyDelay > 0:
			b.late = n
		case b.prompt == nil:
			b.prompt = n
		}
	}
	for key, text := range map[int]string{keyOwn: "Alice 0", keyBack: "Bob 0"} {
		if _, err := b.write(ctx, fmt.Sprint(key), text); err != nil {
			return err
		}
	}
	if err := b.caughtUp(ctx, b.latest.Token); err != nil {
		return err
	}
	b.held("%s leads term %d; %s shows what is committed as soon as it knows, and %s %v later", s.Node, s.Term, b.prompt.ID, b.late.ID, b.late.ApplyDelay)
	return nil
}

// anomaly is what a round of reads came to.
type anomaly struct {
	found bool
	told  string        // what was seen
	took  time.Duration // the read that may be late
}

// tally is what several rounds came to.
type tally struct {
	found   int
	told    string // the first anomaly
	longest time.Duration
}

// A round writes, and reads from followers: with tokens if it is careful, else
// whatever a follower has. i is another number in each round of a phase.
type round func(ctx context.Context, i int, careful bool) (anomaly, error)

// both plays rounds of both kinds, and counts.
func (b *behind) both(ctx context.Context, what string, play round) error {
	naive, err := rounds(ctx, 0, false, play)
	if err != nil {
		return err
	}
	careful, err := rounds(ctx, lagRounds, true, play)
	if err != nil {
		return err
	}
	if naive.found > 0 {
		b.line("for example: %s", naive.told)
	}
	b.table([]string{"reads with", "rounds", "anomalies", "slowest read"}, [][]string{naive.row("client.Any()"), careful.row("client.After(token)")})
	if err := judge(what, naive, careful); err != nil {
		return err
	}
	b.held("%s: %d in %d rounds without tokens, none in %d with them", what, naive.found, lagRounds, lagRounds)
	return nil
}

// judge wants anomalies without tokens, and none with them.
func judge(what string, naive, careful tally) error {
	switch {
	case careful.found > 0:
		return fmt.Errorf("%s: %d in %d rounds with tokens: %s", what, careful.found, lagRounds, careful.told)
	case naive.found == 0:
		return fmt.Errorf("%s: none in %d rounds without tokens, though a follower is late", what, lagRounds)
	}
	return nil
}

func (t tally) row(how string) []string {
	return []string{how, fmt.Sprint(lagRounds), fmt.Sprint(t.found), t.longest.Round(100 * time.Microsecond).String()}
}

func rounds(ctx context.Context, first int, careful bool, play round) (t tally, err error) {
	for i := range lagRounds {
		a, err := play(ctx, first+i+1, careful)
		if err != nil {
			return t, err
		}
		if a.found && t.found == 0 {
			t.told = a.told
		}
		if a.found {
			t.found++
		}
		t.longest = max(t.longest, a.took)
	}
	return t, nil
}

// The keys that the rounds write to; those of questions and answers have the round
// added.
const (
	keyOwn    = 3001
	keyBack   = 3002
	keyAsk    = 4000
	keyAnswer = 5000
)

// own writes, and reads the same key back from the late node.
func (b *behind) own(ctx context.Context, i int, careful bool) (anomaly, error) {
	key, text := fmt.Sprint(keyOwn), fmt.Sprintf("Alice %d", i)
	r, err := b.write(ctx, key, text)
	if err != nil {
		return anomaly{}, err
	}
	a, _, err := b.look(ctx, b.late, key, text, option(careful, r.Token))
	a.told = fmt.Sprintf("Alice wrote %q, and %s showed her %s", text, b.late.ID, a.told)
	return a, err
}

// back reads a key from the prompt node once that has its newest value, and then
// from the late one.
func (b *behind) back(ctx context.Context, i int, careful bool) (anomaly, error) {
	key, text := fmt.Sprint(keyBack), fmt.Sprintf("Bob %d", i)
	if _, err := b.write(ctx, key, text); err != nil {
		return anomaly{}, err
	}
	seen, err := b.await(ctx, key, text)
	if err != nil {
		return anomaly{}, err
	}
	a, _, err := b.look(ctx, b.late, key, text, option(careful, seen.Token))
	a.told = fmt.Sprintf("%s showed %q, and after that %s showed %s", b.prompt.ID, text, b.late.ID, a.told)
	return a, err
}

// answer has somebody answer a question that he has read, and somebody else read the
// answer from the prompt node and then the question from the late one.
func (b *behind) answer(ctx context.Context, i int, careful bool) (anomaly, error) {
	ask, answer := fmt.Sprint(keyAsk+i), fmt.Sprint(keyAnswer+i)
	question, reply := fmt.Sprintf("Question %d", i), fmt.Sprintf("Answer %d", i)
	asked, err := b.write(ctx, ask, question)
	if err != nil {
		return anomaly{}, err
	}
	if _, err := b.reads(ctx, b.at[b.leader.ID], b.leader, ask, question, client.After(asked.Token)); err != nil {
		return anomaly{}, err
	}
	if _, err := b.write(ctx, answer, reply); err != nil {
		return anomaly{}, err
	}
	seen, err := b.await(ctx, answer, reply)
	if err != nil {
		return anomaly{}, err
	}
	a, _, err := b.look(ctx, b.late, ask, question, option(careful, seen.Token))
	a.told = fmt.Sprintf("%s showed %q, and %s showed %s where the question is", b.prompt.ID, reply, b.late.ID, a.told)
	return a, err
}

// option is how a follower is read: whatever it has, or what the token has seen.
func option(careful bool, t topology.Token) client.Option {
	if careful {
		return client.After(t)
	}
	return client.Any()
}

// await reads a key from the prompt node, as it is, until it shows that text.
func (b *behind) await(ctx context.Context, key, text string) (r client.Reading, err error) {
	err = until(ctx, func(ctx context.Context) error {
		var a anomaly
		if a, r, err = b.look(ctx, b.prompt, key, text, client.Any()); err == nil && a.found {
			err = fmt.Errorf("%s shows %s for key %s, not %q", b.prompt.ID, a.told, key, text)
		}
		return err
	})
	return r, err
}

// look reads a key from a node's own store. It found an anomaly if the node shows
// something else than text; then it tells what.
func (b *behind) look(ctx context.Context, n *node, key, text string, o client.Option) (anomaly, client.Reading, error) {
	table, kind := b.writable()
	started := time.Now()
	r, err := b.at[n.ID].Get(ctx, table, []byte(key), o)
	a := anomaly{took: time.Since(started)}
	switch {
	case errors.Is(err, topology.ErrNotFound):
		a.found, a.told = true, "nothing"
		return a, r, nil
	case err != nil:
		return a, r, fmt.Errorf("%s/%s at %s: %w", table, key, n.ID, err)
	case r.Served != n.ID:
		return a, r, fmt.Errorf("%s/%s was asked of %s and served by %s", table, key, n.ID, r.Served)
	}
	if a.found = string(r.Value) != string(valueOf(kind, text)); a.found {
		a.told = fmt.Sprintf("%q", textOf(kind, r.Value))
	}
	return a, r, nil
}
