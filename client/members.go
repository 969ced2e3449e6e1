package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

const (
	membersMax = 64                     // nodes that one client keeps in view
	surveyWait = 500 * time.Millisecond // how long a node is waited for in one wave of a survey
	wavesMax   = 3                      // of a survey: those known, those they name, those they name
)

// Member is one node of the cluster: what it said of itself, or where it has not
// answered, what others say of it, and how this client stands to it.
type Member struct {
	call.Member
	RoundTrip time.Duration // recent calls of a survey, smoothed; 0 if it has not answered
	Heard     time.Time     // when it said this of itself; zero if it did not
	Failing   bool          // the last call that was sent to it found nobody
}

// cluster is what a client knows of the nodes.
type cluster struct {
	call  func(ctx context.Context, addr, method string, req []byte) ([]byte, error)
	addrs *addresses

	mu      sync.Mutex // guards what follows; a leaf
	all     []Member   // by node
	leader  topology.NodeID
	term    uint64 // of what leader is known from
	home    string // where every site has a leader: the site whose leader is ours
	asked   time.Time
	survey  chan struct{} // closed when the survey under way has ended; nil if none is
	fault   error         // why the last survey heard nobody
	closed  bool
	running sync.WaitGroup // the survey
}

// Members asks every node it can find for what it knows, and returns what they
// said, by node. It fails only if none answers.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	pause := c.options.RetryMin
	for attempt := 1; ; attempt++ {
		err := c.cluster.surveyed(ctx, 0)
		if err == nil {
			all, _ := c.cluster.view()
			return all, nil
		}
		if attempt >= c.options.AttemptsMax || !again(err, reads) || !c.sleep(ctx, pause) {
			return nil, errorOf("members", "", nil, call.NotApplied(err))
		}
		pause = min(2*pause, c.options.RetryMax)
	}
}

// view returns the nodes, which are the caller's, and who leads them.
func (k *cluster) view() ([]Member, topology.NodeID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all), k.leader
}

// surveyed returns once a survey has ended that is no older than age; where one
// has heard somebody before and is older, the next is begun and not waited for,
// unless age is 0.
func (k *cluster) surveyed(ctx context.Context, age time.Duration) error {
	k.mu.Lock()
	fresh := age > 0 && !k.asked.IsZero() && time.Since(k.asked) < age
	known := len(k.all) > 0
	k.mu.Unlock()
	if fresh && known {
		return nil
	}
	done := k.begin()
	if known && age > 0 {
		return nil
	}
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", topology.ErrTimeout, context.Cause(ctx))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

// begin begins a survey, unless one is under way, and returns what is closed
// when it has ended.
func (k *cluster) begin() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.survey != nil {
		return k.survey
	}
	done := make(chan struct{})
	if k.closed {
		k.fault = fmt.Errorf("the client: %w", topology.ErrClosed)
		close(done)
		return done
	}
	k.survey = done
	k.running.Go(func() {
		err := k.run()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.survey, k.fault, k.asked = nil, err, time.Now()
		close(done)
	})
	return done
}

// freshen begins a survey if the last one is older than age.
func (k *cluster) freshen(age time.Duration) {
	k.mu.Lock()
	old := k.asked.IsZero() || time.Since(k.asked) >= age
	k.mu.Unlock()
	if old {
		k.begin()
	}
}

// run asks the nodes that are known, and those these name.
func (k *cluster) run() error {
	var last error
	heard := false
	done := map[string]bool{}
	for range wavesMax {
		wave := slices.DeleteFunc(k.everywhere(), func(a string) bool { return done[a] })
		if len(wave) == 0 {
			break
		}
		var g sync.WaitGroup
		faults := make([]error, len(wave))
		for i, addr := range wave {
			done[addr] = true
			g.Go(func() { faults[i] = k.ping(addr) })
		}
		g.Wait()
		for _, err := range faults {
			if err != nil {
				last = err
			}
			heard = heard || err == nil
		}
	}
	if !heard {
		return last
	}
	k.addrs.learn(k.everywhere())
	return nil
}

// ping asks one node, and measures how long that took.
func (k *cluster) ping(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), surveyWait)
	defer cancel()
	began := time.Now()
	answer, err := k.call(ctx, addr, call.MethodMembers, call.EncodeNothing())
	took := time.Since(began)
	var m call.Members
	if err == nil {
		m, err = call.DecodeMembers(answer)
	}
	if err != nil {
		k.note(addr, true)
		return err
	}
	k.take(addr, &m, took)
	return nil
}

// everywhere returns those given and those of the members, no more than membersMax:
// where sites have leaders of their own, those of the client's site first.
func (k *cluster) everywhere() []string {
	k.mu.Lock()
	all, home := slices.Clone(k.all), k.home
	k.mu.Unlock()
	if home != "" {
		slices.SortStableFunc(all, func(a, b Member) int { return away(&a, home) - away(&b, home) })
	}
	out := slices.Clone(k.addrs.given)
	for i := range all {
		if a := all[i].Addr; a != "" && !slices.Contains(out, a) && len(out) < membersMax {
			out = append(out, a)
		}
	}
	return out
}

// away is 1 for a node of another site.
func away(m *Member, home string) int {
	if m.Site == home {
		return 0
	}
	return 1
}

// take puts what one node said, within took, into the view.
func (k *cluster) take(addr string, m *call.Members, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range m.All {
		said := m.All[i]
		if said.ID == m.Self {
			said.Addr = addr // where it was met
		}
		known := k.find(said.ID)
		if known == nil {
			if len(k.all) == membersMax {
				continue
			}
			k.all = append(k.all, Member{Member: said})
			slices.SortFunc(k.all, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
			known = k.find(said.ID)
		}
		switch {
		case said.ID == m.Self:
			if known.RoundTrip > 0 {
				took = (3*known.RoundTrip + took) / 4
			}
			said.State = known.State
			*known = Member{Member: said, RoundTrip: max(took, 1), Heard: time.Now()}
		case known.Heard.IsZero() || known.Failing:
			if said.Addr == "" {
				said.Addr = known.Addr
			}
			known.Member = said
		case said.State != "":
			known.State, known.Liveness = said.State, said.Liveness
		}
	}
	if m.Apart && !k.ours(m.Self) {
		return
	}
	if m.Leader != "" && m.Term >= k.term {
		k.leader, k.term = m.Leader, m.Term
	}
}

// ours reports whether a node, of a cluster each site of which has a leader, is of the
// site whose leader this client's writes go to: that of the first address it was given
// at which somebody has answered.
func (k *cluster) ours(id topology.NodeID) bool {
	for _, addr := range k.addrs.given {
		i := slices.IndexFunc(k.all, func(m Member) bool { return m.Addr == addr && !m.Heard.IsZero() })
		if i < 0 {
			continue
		}
		if site := k.all[i].Site; site != k.home {
			k.home, k.leader, k.term = site, "", 0
		}
		break
	}
	self := k.find(id)
	return self != nil && self.Site == k.home
}

func (k *cluster) find(id topology.NodeID) *Member {
	i := slices.IndexFunc(k.all, func(m Member) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	return &k.all[i]
}

// leads returns where the leader listens, empty if that is not known.
func (k *cluster) leads() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.find(k.leader); m != nil && !m.Failing {
		return m.Addr
	}
	return ""
}

// reign is the newest term that a survey has heard of.
func (k *cluster) reign() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.term
}

// follow takes the leader that an error names for it, until a survey knows better.
func (k *cluster) follow(err error) {
	var e *topology.Error
	if !errors.As(err, &e) || e.Leader == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leader = e.Leader
}

// doubt forgets the leader if it is the node at addr, which has just not taken what
// was sent to it, until a survey has heard who leads.
func (k *cluster) doubt(addr string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.find(k.leader); m != nil && m.Addr == addr {
		k.leader = ""
	}
}

// note says of the node at addr whether a call has just found nobody there.
func (k *cluster) note(addr string, failing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.all {
		if k.all[i].Addr == addr {
			k.all[i].Failing = failing
		}
	}
}

// close ends the surveys. No other begins.
func (k *cluster) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.running.Wait()
}
