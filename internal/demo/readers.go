package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/link"
	"github.com/triad-kv/triad/topology"
)

// fitsReaders wants a read replica away from the leader.
func fitsReaders(c *config.Cluster) error {
	lead := slices.IndexFunc(c.Replicas, func(r config.Replica) bool { return r.ID == c.Leader() })
	site := c.Replicas[lead].Site
	if !slices.ContainsFunc(c.Replicas, func(r config.Replica) bool {
		return r.Role == config.RoleReadReplica && c.Delay(site, r.Site) > 0
	}) {
		return errors.New("it needs a read replica in a site that has a delay to the leader's")
	}
	return nil
}

// reader is a read replica away from the leader, and a client beside it.
type reader struct {
	*node
	here      *client.Client // asks the replica
	away      *client.Client // asks the leader, from the site of the replica
	oneWay    time.Duration  // from the leader
	roundTrip time.Duration
}

// geo is what the phases of readers share.
type geo struct {
	*demo
	readers []*reader
}

func playReaders(ctx context.Context, d *demo) (err error) {
	g := &geo{demo: d}
	defer func() { err = errors.Join(err, g.close()) }()
	return d.phases(ctx, []phase{
		{"a leader here, readers far away", g.boot},
		{"a write does not wait for an ocean", g.put},
		{"reads near the reader", g.read},
		{"how far behind the readers are", g.lag},
		{"what everybody holds", g.same},
	})
}

func (g *geo) boot(ctx context.Context) error {
	s, err := g.roles(ctx)
	if err != nil {
		return err
	}
	c := g.c.of
	for _, n := range g.followers() {
		there, back := c.Delay(g.leader.site, n.site), c.Delay(n.site, g.leader.site)
		if n.role != config.RoleReadReplica || there == 0 {
			continue
		}
		r := &reader{node: n, oneWay: there, roundTrip: there + back}
		g.readers = append(g.readers, r)
		if r.here, err = client.Dial([]string{n.addr}, client.Options{Cluster: g.o.Cluster}); err != nil {
			return err
		}
		far, err := link.New(link.Options{Delay: back}, link.Options{Delay: there})
		if err != nil {
			return err
		}
		away := &link.Dialer{Links: map[string]*link.Link{g.leader.addr: far}}
		if r.away, err = client.Dial([]string{g.leader.addr}, client.Options{Cluster: g.o.Cluster, Dial: away.Dial}); err != nil {
			return err
		}
		if _, err := r.away.StatusOf(ctx, g.leader.addr); err != nil { // so that no read pays for the connection
			return err
		}
	}
	counted, _ := g.counted(s)
	g.held("commits wait for %s, and for none of the %s", idsOf(counted), count(len(g.readers), "reader", "readers"))
	return nil
}

// close ends the clients at the sites.
func (g *geo) close() error {
	var errs []error
	for _, r := range g.readers {
		if r.here != nil {
			errs = append(errs, r.here.Close())
		}
		if r.away != nil {
			errs = append(errs, r.away.Close())
		}
	}
	return errors.Join(errs...)
}

func (g *geo) put(ctx context.Context) error {
	began := time.Now()
	r, err := g.write(ctx, "1001", "Alice")
	if err != nil {
		return err
	}
	g.line("acknowledged after %v, durable at %s", took(began), names(r.Durable))
	for _, n := range g.readers {
		if slices.Contains(r.Durable, n.ID) {
			return fmt.Errorf("LSN %d was acknowledged with %s, which no commit counts", r.LSN, n.ID)
		}
	}
	g.held("LSN %d was acknowledged by %s, without a reader", r.LSN, names(r.Durable))
	return nil
}

func took(since time.Time) time.Duration { return time.Since(since).Round(100 * time.Microsecond) }

// freshEnough is the bound of a read that a healthy reader meets, as it hears of the leader
// several times a second.
const freshEnough = 5 * time.Second

// read reads in every site in four ways.
func (g *geo) read(ctx context.Context) error {
	var rows [][]string
	for i, r := range g.readers {
		if err := r.here.Wait(ctx, g.latest.Token); err != nil {
			return err
		}
		text := fmt.Sprintf("Alice %d", i+2)
		before := fmt.Sprintf("Alice %d", i+1)
		if i == 0 {
			before = "Alice"
		}
		rs, err := g.readAt(ctx, r, before, text)
		rows = append(rows, rs...)
		if err != nil {
			g.table(geoHeader, rows)
			return err
		}
	}
	g.table(geoHeader, rows)
	g.held("in each site: bounded and session reads served by its own node, what is too old refused, linearizable reads no sooner than the leader could be asked")
	return nil
}

var geoHeader = []string{"site", "read", "served by", "value", "took", "round trip to the leader", "behind at most"}

// readAt reads at one reader, before and after a write, and at the leader from there.
func (g *geo) readAt(ctx context.Context, r *reader, before, text string) (rows [][]string, err error) {
	look := func(what, want string, c *client.Client, n *node, o client.Option, least time.Duration) error {
		began := time.Now()
		read, err := g.reads(ctx, c, n, "1001", want, o)
		if err != nil {
			return fmt.Errorf("%s in %s: %w", what, r.site, err)
		}
		spent := time.Since(began)
		rows = append(rows, []string{r.site, what, string(read.Served), want, took(began).String(), r.roundTrip.String(), staleness(read, r.oneWay)})
		if spent < least {
			return fmt.Errorf("%s in %s took %v: the leader is %v there and back", what, r.site, spent, least)
		}
		return nil
	}
	if err := look("bounded, "+freshEnough.String(), before, r.here, r.node, client.MaxStale(freshEnough), 0); err != nil {
		return rows, err
	}
	table, _ := g.writable()
	if _, err := r.here.Get(ctx, table, []byte("1001"), client.MaxStale(1)); !errors.Is(err, topology.ErrStale) {
		return rows, fmt.Errorf("a read in %s that may be 1ns behind was not refused: %w", r.site, err)
	}
	w, err := g.write(ctx, "1001", text)
	if err != nil {
		return rows, err
	}
	if err := look("after its token", text, r.here, r.node, client.After(w.Token), 0); err != nil {
		return rows, err
	}
	if err := look("linearizable", text, r.here, r.node, client.Linearizable(), r.roundTrip); err != nil {
		return rows, err
	}
	return rows, look("at the leader", text, r.away, g.leader, client.Linearizable(), r.roundTrip)
}

// staleness is how far behind a reading may be: what its node says, which is counted
// from the arrival of the leader's last word, and the way of that.
func staleness(r client.Reading, oneWay time.Duration) string {
	switch {
	case r.Stale < 0:
		return ""
	case r.Guarantee == topology.ReadBounded:
		return (r.Stale + oneWay).Round(time.Millisecond).String()
	}
	return r.Stale.String()
}

// lag shows the measured lag of each reader beside its delay.
func (g *geo) lag(ctx context.Context) error {
	shown := make([]time.Duration, len(g.readers))
	began := time.Now()
	w, err := g.write(ctx, "1002", "Bob")
	if err != nil {
		return err
	}
	s, err := g.status(ctx, g.leader)
	if err != nil {
		return err
	}
	done := make(chan error, len(g.readers))
	for i, r := range g.readers {
		go func() {
			err := r.here.Wait(ctx, w.Token)
			shown[i] = time.Since(began)
			done <- err
		}()
	}
	var errs []error
	for range g.readers {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var rows [][]string
	for i, r := range g.readers {
		lag := peerOf(s, r.ID).Lag
		rows = append(rows, []string{
			string(r.ID), r.site, r.oneWay.String(), shown[i].Round(100 * time.Microsecond).String(),
			fmt.Sprint(lag.Records), lag.Time.Round(100 * time.Microsecond).String(),
		})
	}
	g.table([]string{"reader", "site", "delay of its link", "shows a write after", "lag when it was acknowledged", "in time"}, rows)
	for i, r := range g.readers {
		if shown[i] < r.oneWay {
			return fmt.Errorf("%s shows a write after %v, and its link takes %v", r.ID, shown[i], r.oneWay)
		}
	}
	err = until(ctx, func(ctx context.Context) error {
		s, err := g.status(ctx, g.leader)
		if err != nil {
			return err
		}
		for _, r := range g.readers {
			if p := peerOf(s, r.ID); p.Lag != (topology.Lag{}) {
				return fmt.Errorf("%s is behind: %+v", r.ID, p.Lag)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	g.held("every reader shows the write no sooner than its link allows, and then has lag 0")
	return nil
}
