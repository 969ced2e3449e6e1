package stream

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// What a sender leaves to others before it makes a batch; see gather.
const (
	gatherEntries = 64 // to send: it is not held back for more
	gatherTurns   = 16 // left to others
	gatherQuiet   = 2  // of them in a row without an append: nobody is coming
)

// HeartbeatDefault is Limits.HeartbeatEvery where nothing is said.
const HeartbeatDefault = 250 * time.Millisecond

// HoldDefault is Limits.SnapshotHold where nothing is said.
const HoldDefault = time.Minute

// Limits bound what a stream holds. The zero value means the defaults.
type Limits struct {
	BatchBytesMax    int           // of entries in one message; default 1 MiB
	WindowBytesMax   int           // sent and not yet written at the other end; default 16 MiB
	ChunkBytesMax    int           // of cells in one message of a snapshot; default 512 KiB
	SnapshotBytesMax int           // a second, of one snapshot; 0 is no limit
	HeartbeatEvery   time.Duration // with nothing to send; default 250 ms
	CommitDelay      time.Duration // how long a commit LSN waits for entries to ride with; default 500 µs
	SnapshotHold     time.Duration // how long a snapshot waits for a receiver to come back; default 1 min
}

func (l Limits) withDefaults() Limits {
	set := func(p *int, d int) {
		if *p == 0 {
			*p = d
		}
	}
	set(&l.BatchBytesMax, 1<<20)
	set(&l.WindowBytesMax, 16<<20)
	set(&l.ChunkBytesMax, 512<<10)
	setTime := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	setTime(&l.HeartbeatEvery, HeartbeatDefault)
	setTime(&l.CommitDelay, 500*time.Microsecond)
	setTime(&l.SnapshotHold, HoldDefault)
	return l
}

// Source is what a Sender ships.
type Source interface {
	topology.Log
	topology.Bounded
	topology.Copier
}

// Riding is what goes with every batch.
type Riding struct {
	Commit record.LSN
	Round  uint64
	Eager  bool // see Append
	Time   version.Timestamp

	// What a follower that feeds another one has of its leader (S13).
	End    record.LSN    // the end of the leader's log, where that is beyond the sender's own
	Behind uint64        // bytes from the end of the sender's own log to there
	Age    time.Duration // of that word; 0: the sender leads
}

// SenderConfig is what a Sender works with.
type SenderConfig struct {
	Begin  Begin
	Log    Source
	Store  topology.Store
	Riding func() Riding // what goes with the next batch; must not block
	Acked  func(Ack)     // called for every ack, from the sender's goroutine; must not block
	// Last is Begin.Last when a connection begins. Nil: Begin says it.
	Last func() Place
	// Await returns once this log is far enough to say where it parts from one that
	// ends at last. Nil: it always is, as a leader's.
	Await  func(ctx context.Context, last Place) error
	Limits Limits
}

// Sender ships one log to one receiver, over as many connections as it takes.
// Run serves one connection; what a broken one leaves behind (a snapshot half
// sent) serves the next. Close releases it.
type Sender struct {
	c    SenderConfig
	wake chan struct{}
	seen atomic.Uint32 // State, for those who look on
	need atomic.Uint64 // the log is needed from here on
	sent atomic.Uint64 // the last entry sent, or seen to be there

	hurt record.LSN // the last entry that the log could not give whole; owned by Run
	snap *outgoing  // owned by Run
}

// NewSender returns a sender; it starts nothing.
func NewSender(c SenderConfig) *Sender {
	c.Limits = c.Limits.withDefaults()
	return &Sender{c: c, wake: make(chan struct{}, 1)}
}

// Wake tells the sender that there are entries, or something else to tell. It
// never blocks.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// State returns where the stream stands.
func (s *Sender) State() State { return State(s.seen.Load()) }

// Needs returns the first LSN this receiver still needs, 0 if not known.
func (s *Sender) Needs() record.LSN { return record.LSN(s.need.Load()) }

// Sent returns the last entry that was sent over the present connection, or that
// the receiver was seen to hold; 0 if not known.
func (s *Sender) Sent() record.LSN { return record.LSN(s.sent.Load()) }

// Close releases what the sender holds. Run must have returned.
func (s *Sender) Close() error { return s.drop() }

// conversation is one connection's worth of a Sender.
type conversation struct {
	*Sender
	st  topology.Stream
	w   *pack.Writer
	out Append // the batch being made; its entries are in buf
	buf []byte

	mu   sync.Mutex
	p    *Progress
	told Riding // what the receiver was told last
}

// Run ships over st until it breaks, ctx ends, or the receiver refuses (a
// *Refusal). It closes st.
func (s *Sender) Run(ctx context.Context, st topology.Stream) error {
	v := &conversation{Sender: s, st: st, w: pack.NewWriter(nil), p: NewProgress(s.c.Limits.WindowBytesMax)}
	s.seen.Store(uint32(Probe))
	s.sent.Store(0)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		return st.Close()
	})
	g.Go(func() error {
		if err := v.reconcile(ctx); err != nil {
			return err
		}
		g.Go(v.receive)
		return v.replicate(ctx)
	})
	err := g.Wait()
	s.seen.Store(uint32(Probe))
	return err
}

// send sends one message.
func (v *conversation) send(m interface{ encode(*pack.Writer) }) error {
	m.encode(v.w)
	return v.st.Send(v.w.Bytes())
}

// reconcile asks and answers until the logs agree, sending a snapshot where
// they can not.
func (v *conversation) reconcile(ctx context.Context) error {
	begin := v.c.Begin
	if v.c.Last != nil {
		begin.Last = v.c.Last()
	}
	if err := v.send(&begin); err != nil {
		return err
	}
	for {
		var t Tail
		if err := v.expect(kindTail, &t); err != nil {
			return err
		}
		if v.c.Await != nil {
			if err := v.c.Await(ctx, t.Last); err != nil {
				return err
			}
		}
		cut := v.p.Probed(v.c.Begin.Term, t, v.bounds(), v.c.Log.History())
		v.seen.Store(uint32(v.p.State))
		if v.p.State == Snapshot {
			if err := v.snapshot(ctx); err != nil {
				return err
			}
			continue
		}
		v.need.Store(uint64(cut.To.LSN + 1))
		if err := v.send(&cut); err != nil {
			return err
		}
		if v.p.State == Replicate {
			v.sent.Store(uint64(cut.To.LSN))
			return nil
		}
	}
}

// bounds are what of the log can be sent: from behind what is damaged on. What is
// before comes from the store (C5).
func (v *conversation) bounds() topology.Bounds {
	b := v.c.Log.Bounds()
	b.First = max(b.First, v.hurt+1)
	return b
}

// expect receives one message of a kind.
func (v *conversation) expect(kind byte, m interface{ decode(*pack.Reader) }) error {
	b, err := v.st.Recv()
	if err != nil {
		return err
	}
	return decodeAs(b, kind, m)
}

func decodeAs(b []byte, kind byte, m interface{ decode(*pack.Reader) }) error {
	if len(b) == 0 {
		return errors.New("empty message")
	}
	r := pack.NewReader(b[1:])
	if b[0] == kindRefuse && kind != kindRefuse {
		var x Refusal
		x.decode(&r)
		if err := r.Done(); err != nil {
			return fmt.Errorf("refusal: %w", err)
		}
		return &x
	}
	if b[0] != kind {
		return fmt.Errorf("message of kind %d, expected %d", b[0], kind)
	}
	m.decode(&r)
	if err := r.Done(); err != nil {
		return fmt.Errorf("message of kind %d: %w", kind, err)
	}
	return nil
}

// receive takes acks until the stream ends.
func (v *conversation) receive() error {
	var a Ack // outside of the loop, for it escapes
	for {
		a = Ack{}
		if err := v.expect(kindAck, &a); err != nil {
			return err
		}
		if a.Term != v.c.Begin.Term {
			return fmt.Errorf("ack of term %d in term %d", a.Term, v.c.Begin.Term)
		}
		v.mu.Lock()
		wasOpen := v.p.Open()
		err := v.p.Received(a)
		opened := !wasOpen && v.p.Open()
		v.mu.Unlock()
		if err != nil {
			return err
		}
		v.need.Store(uint64(a.Flushed + 1))
		v.c.Acked(a)
		if opened {
			v.Wake()
		}
	}
}

// replicate sends batches as there are entries and the window is open, and
// heartbeats otherwise.
func (v *conversation) replicate(ctx context.Context) error {
	idle := time.NewTimer(v.c.Limits.HeartbeatEvery)
	defer idle.Stop()
	beat := true // the first message tells the receiver where the sender stands
	for {
		sent, err := v.batch(ctx, beat)
		if err != nil {
			return err
		}
		if sent {
			beat = false
			idle.Reset(v.c.Limits.HeartbeatEvery)
			continue
		}
		ride := v.c.Riding()
		if ride.Round > v.told.Round {
			beat = true
			continue
		}
		if ride.Commit > v.told.Commit {
			idle.Reset(v.c.Limits.CommitDelay)
		}
		select {
		case <-v.wake:
		case <-idle.C:
			beat = true
		case <-ctx.Done():
			return nil
		}
	}
}

// gather returns the log's bounds once nobody appends any more who was about to:
// a message costs sender and receiver the same whether it carries one entry or
// fifty, and much more than an entry does. There is no delay in it: where nobody
// else is ready to run, or there is enough to send from next on, it is over at
// once; and where only one entry is not committed yet, it does not begin.
func (v *conversation) gather(next record.LSN) topology.Bounds {
	b := v.c.Log.Bounds()
	if b.End <= v.c.Riding().Commit+1 {
		return b
	}
	for quiet, turns := 0, 0; quiet < gatherQuiet && turns < gatherTurns && b.End >= next && b.End < next+gatherEntries; turns++ {
		runtime.Gosched()
		quiet++
		if now := v.c.Log.Bounds(); now.End != b.End {
			b, quiet = now, 0
		}
	}
	return b
}

// batch sends what the log holds from Next on, up to the limits. Without
// entries it sends only if beat asks for it.
func (v *conversation) batch(ctx context.Context, beat bool) (sent bool, err error) {
	v.mu.Lock()
	next, open := v.p.Next, v.p.Open()
	v.mu.Unlock()
	b := v.gather(next)
	a := &v.out
	*a = Append{Term: v.c.Begin.Term, Prev: Place{LSN: next - 1}}
	v.buf = v.buf[:0]
	if open && b.End >= next {
		if err := v.fill(ctx, next); err != nil {
			return false, err
		}
	}
	if a.Count == 0 && !beat {
		return false, nil
	}
	a.Prev.Term, _ = v.c.Log.History().TermAt(next - 1)
	last := next - 1 + record.LSN(a.Count)
	ride := v.c.Riding()
	a.Commit, a.Round, a.Eager, a.Time, a.Age = ride.Commit, ride.Round, ride.Eager, ride.Time, ride.Age
	a.End = max(b.End, last)
	a.Behind = v.c.Log.Offset(a.End) - v.c.Log.Offset(last)
	if ride.End > a.End {
		a.End, a.Behind = ride.End, a.Behind+ride.Behind
	}
	if a.Count > 0 {
		v.mu.Lock()
		v.p.Sent(last, len(v.buf))
		v.mu.Unlock()
		v.sent.Store(uint64(last))
	}
	a.encode(v.w)
	v.told = ride
	return true, v.st.Send(v.w.Bytes(), v.buf)
}

// fill gathers entries from next on, which are contiguous.
func (v *conversation) fill(ctx context.Context, next record.LSN) error {
	for e, err := range v.c.Log.Read(ctx, next) {
		if errors.Is(err, topology.ErrQuarantined) {
			v.hurt = next + record.LSN(v.out.Count)
			if v.out.Count > 0 {
				return nil // what stands before the damage
			}
		}
		if err != nil {
			return err
		}
		if v.out.Count > 0 && len(v.buf)+record.EntryHeaderBytes+len(e.Bytes) > v.c.Limits.BatchBytesMax {
			break
		}
		v.buf = record.AppendEntry(v.buf, e)
		v.out.Count++
	}
	return nil
}
