package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// founding is what a directory knows of the group it belongs to. It is written
// before raft runs for the first time, and then again when it has begun its log.
//
// The first of the voters (in the order of their names) founds a group, and only
// when every other one has answered that it knows of none: then nobody has ever
// voted, and nothing can be forgotten. The others take up what it has decided. The
// group has the founder's server id as its name, which no other directory can
// draw; whoever belongs to another group is refused, voter or client, so that two
// foundings can never mix.
//
// A directory that meets a group which was founded without it has no vote in it. It
// asks to be admitted: the server of the same node that went before is removed,
// then this one is added without a vote, and gets one when it has caught up.
type founding struct {
	group   string
	voters  []topology.NodeID
	servers []string // who founded it; empty at a client
	started bool     // raft's log has been begun in this directory
	counted bool     // it was not there at the founding, and has had a vote since
}

// A founding is an array of six: format, group, voters, servers, started, counted.
func encodeFounding(f founding) []byte {
	w := pack.NewWriter(nil)
	w.Array(6)
	w.Uint(format)
	w.Str(f.group)
	w.Array(len(f.voters))
	for _, v := range f.voters {
		w.Str(string(v))
	}
	w.Array(len(f.servers))
	for _, s := range f.servers {
		w.Str(s)
	}
	w.Bool(f.started)
	w.Bool(f.counted)
	return w.Bytes()
}

func decodeFounding(b []byte) (f founding, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(6)
	getFormat(&r)
	f.group = r.StrMax(serverBytesMax)
	for n := r.ArrayMax(votersMax); n > 0 && r.Err() == nil; n-- {
		f.voters = append(f.voters, getNode(&r))
	}
	f.servers, f.started, f.counted = getServerIDs(&r), r.Bool(), r.Bool()
	return f, r.Done()
}

func loadFounding(s topology.Stable) (f founding, err error) {
	b, err := s.Load(stableFounding)
	if err == nil && b != nil {
		f, err = decodeFounding(b)
	}
	if err != nil {
		return f, fmt.Errorf("control: the group of voters: %w", err)
	}
	return f, nil
}

// founder is a Control that finds out, and keeps, which group it belongs to.
type founder struct{ *Control }

// join remembers, durably, the group this directory belongs to.
func (c founder) join(f founding) error {
	c.pen <- struct{}{}
	defer func() { <-c.pen }()
	f.voters = c.options.Voters
	c.mu.Lock()
	have := c.founding
	c.mu.Unlock()
	if have.group != "" && have.group != f.group {
		return fmt.Errorf("control: this node belongs to the voters that %s founded, not to those of %s: %w", have.group, f.group, topology.ErrDenied)
	}
	if err := c.env.Stable.Save(stableFounding, encodeFounding(f)); err != nil {
		return fmt.Errorf("control: the group of voters: %w", err)
	}
	c.mu.Lock()
	c.founding = f
	c.mu.Unlock()
	return nil
}

// belong returns once this voter belongs to a group.
func (c founder) belong(ctx context.Context) error {
	for ctx.Err() == nil {
		c.mu.Lock()
		have := c.founding
		c.mu.Unlock()
		if have.group != "" {
			return nil
		}
		f, ok := c.ask(ctx)
		if ok {
			if err := c.join(f); err != nil {
				return err
			}
			c.logger.Info("control: this node belongs to a group of voters", "group", f.group, "founders", f.servers)
			return nil
		}
		pause(ctx, c.timing.pause)
	}
	return ctx.Err()
}

// ask asks every other voter which group there is, and founds one if it may.
func (c founder) ask(ctx context.Context) (founding, bool) {
	type told struct {
		answer
		err error
	}
	others := slices.DeleteFunc(slices.Clone(c.options.Voters), func(v topology.NodeID) bool { return v == c.env.Self })
	answers := make([]chan told, len(others))
	for i, v := range others {
		answers[i] = make(chan told, 1)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, c.timing.attempt)
			defer cancel()
			a, err := reaching(c).put(ctx, v, methodHello, question{server: c.self.String()})
			answers[i] <- told{a, err}
		}()
	}
	servers, all, problem := []string{c.self.String()}, true, ""
	var found founding
	for i := range others {
		switch t := <-answers[i]; {
		case t.err != nil:
			all = false
			if errors.Is(t.err, topology.ErrDenied) {
				problem = t.err.Error()
			}
		case t.group != "":
			found = founding{group: t.group, servers: t.servers}
		default:
			servers = append(servers, t.servers...)
		}
	}
	c.trouble(problem)
	if found.group != "" {
		return found, true
	}
	slices.Sort(servers)
	return founding{group: c.self.String(), servers: servers}, all && len(servers) == len(c.options.Voters) && c.env.Self == c.options.Voters[0]
}

// hello tells another voter which group this one knows; or, if it knows none, which
// server it is.
func (c founder) hello() answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.founding.group == "" {
		return answer{servers: []string{c.self.String()}}
	}
	return answer{group: c.founding.group, servers: c.founding.servers}
}

// founded reports whether this directory was there when the group was founded.
func (f founding) founded(s server) bool { return slices.Contains(f.servers, s.String()) }

// counted reports whether this directory has had a vote. One that has had, and is
// not of the configuration any more, was replaced, and never asks to be admitted:
// two directories of one node would take turns for ever.
func (c founder) counted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.founding.counted || c.founding.founded(c.self)
}

// count notes that this directory has a vote.
func (c founder) count() error {
	c.mu.Lock()
	f := c.founding
	c.mu.Unlock()
	f.counted = true
	return c.join(f)
}

// prepare begins raft's log, if this directory founds the group. As long as it does
// not stand there that this is done, raft has never run here and nothing was
// promised, so what a crash left half done is done again. (raft.BootstrapCluster
// writes the same two things, and refuses to go on between them.)
func (c founder) prepare(d *disk) error {
	c.mu.Lock()
	f := c.founding
	c.mu.Unlock()
	last, err := d.logs.LastIndex()
	if err != nil {
		return err
	}
	shots, err := d.snapshots.List()
	if err != nil {
		return err
	}
	empty := last == 0 && len(shots) == 0
	switch {
	case f.started && empty && f.founded(c.self):
		return fmt.Errorf("control: this voter has had a log and has none now: it cannot know what it has promised; let it come back with an empty directory: %w", topology.ErrFailed)
	case f.started:
		return nil
	case empty && f.founded(c.self):
		var first raft.Configuration
		for _, id := range f.servers {
			first.Servers = append(first.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(id), Address: raft.ServerAddress(id)})
		}
		if err := d.stable.SetUint64([]byte(keyTerm), 1); err != nil {
			return err
		}
		entry := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(first)}
		if err := d.logs.StoreLog(entry); err != nil {
			return err
		}
	}
	f.started = true
	return c.join(f)
}

// pause waits, and not longer than ctx lasts.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
