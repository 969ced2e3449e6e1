package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// site is a data centre of a demo in which all of them write: its nodes, and who leads
// them as far as the demo knows.
type site struct {
	name   string
	number int
	nodes  []*node
	leader *node
}

// sites are those of a demo, in the order of the file.
type sites struct {
	*demo
	all []*site
}

func sitesOf(d *demo) *sites {
	s := &sites{demo: d}
	d.leads = map[string]*node{}
	for _, n := range d.c.of.Topology.Sites {
		x := &site{name: n.Name, number: n.Number, leader: d.c.node(topology.NodeID(d.c.of.LeaderOf(n.Name)))}
		for _, m := range d.c.nodes {
			if m.site == n.Name {
				x.nodes = append(x.nodes, m)
			}
		}
		s.all = append(s.all, x)
		d.leads[x.name] = x.leader
	}
	return s
}

// living are the nodes of a site that should be alive.
func (x *site) living() (ns []*node) {
	for _, n := range x.nodes {
		if !n.away.Load() {
			ns = append(ns, n)
		}
	}
	return ns
}

// successor is a node that may lead when the leader is lost.
func (x *site) successor() *node {
	for _, n := range x.living() {
		if n != x.leader && n.mayLead() {
			return n
		}
	}
	return nil
}

// fitsConflict wants sites that all write, one of which can lose its leader.
func fitsConflict(c *config.Cluster) error {
	if !c.SeveralLead() {
		return errors.New("one node of it leads; as in topology: {kind: multi-leader}")
	}
	if len(c.Sites) < 2 {
		return errors.New("it needs two sites")
	}
	voters := 0
	for _, r := range c.Replicas {
		if r.Site == c.Sites[0].Name && r.Role != config.RoleReadReplica && r.Role != config.RoleDelayed && r.Role != config.RoleWitness {
			voters++
		}
	}
	if voters < 2 {
		return fmt.Errorf("its first site, %s, needs a second node that may lead", c.Sites[0].Name)
	}
	return nil
}

// begun waits until every site is led by whom the file wants, its links are up, and
// everybody has the tables.
func (s *sites) begun(ctx context.Context) error {
	for _, x := range s.all {
		if err := until(ctx, func(ctx context.Context) error { return s.led(ctx, x) }); err != nil {
			return err
		}
	}
	if err := until(ctx, s.linked); err != nil {
		return err
	}
	return until(ctx, s.defined)
}

// led returns nil once a site is led by the leader that the demo knows, or elects one,
// and that streams its log to the others that live.
func (s *sites) led(ctx context.Context, x *site) error {
	if s.c.of.Control.Elects() {
		s.find(ctx, x)
	}
	if x.leader.away.Load() {
		return fmt.Errorf("site %s has no leader", x.name)
	}
	l, err := s.status(ctx, x.leader)
	if err != nil {
		return err
	}
	if l.Role != topology.RoleLeader {
		return fmt.Errorf("%s is %s, not the leader of %s", l.Node, l.Role, x.name)
	}
	for _, n := range keepers(x.living()) {
		if p := peerOf(l, n.ID); n != x.leader && p.State != "replicate" {
			return fmt.Errorf("%s is not streamed to: it is in state %q %s", n.ID, p.State, p.Problem)
		}
	}
	return nil
}

// find takes a living node of a site that leads it for its leader, if there is one.
func (s *sites) find(ctx context.Context, x *site) {
	for _, n := range x.living() {
		if l, err := s.status(ctx, n); err == nil && l.Role == topology.RoleLeader {
			s.lead(x, n)
		}
	}
}

func (s *sites) lead(x *site, n *node) {
	if s.leader == x.leader {
		s.leader = n
	}
	x.leader, s.leads[x.name] = n, n
}

// linked returns nil once every link is up.
func (s *sites) linked(ctx context.Context) error {
	for _, x := range s.all {
		l, err := s.status(ctx, x.leader)
		if err != nil {
			return err
		}
		for _, other := range l.Sites {
			if s.c.of.Linked(x.name, other.Site) && other.State != "up" {
				return fmt.Errorf("the link of %s to %s is %s %s", x.name, other.Site, other.State, other.Problem)
			}
		}
	}
	return nil
}

// show shows who is where, and how far that is from elsewhere.
func (s *sites) show() {
	var rows [][]string
	for _, x := range s.all {
		var others, far []string
		for _, n := range x.nodes {
			if n != x.leader {
				others = append(others, string(n.ID))
			}
		}
		for _, y := range s.all {
			if y != x {
				far = append(far, fmt.Sprintf("%v to %s", s.c.of.Delay(x.name, y.name), y.name))
			}
		}
		rows = append(rows, []string{x.name, fmt.Sprint(x.number), string(x.leader.ID), strings.Join(others, ", "), strings.Join(far, ", ")})
	}
	s.table([]string{"site", "number", "leader", "followers", "a message takes"}, rows)
}

// put writes to the leader of a site.
func (s *sites) put(ctx context.Context, x *site, key, text string) (client.Receipt, error) {
	table, kind := s.writable()
	r, err := s.at[x.leader.ID].Put(ctx, table, []byte(key), valueOf(kind, text))
	if err == nil {
		s.latest.Token = s.latest.Token.Join(r.Token)
	}
	return r, err
}

// remove removes a key at the leader of a site.
func (s *sites) remove(ctx context.Context, x *site, key string) (client.Receipt, error) {
	table, _ := s.writable()
	r, err := s.at[x.leader.ID].Delete(ctx, table, []byte(key))
	if err == nil {
		s.latest.Token = s.latest.Token.Join(r.Token)
	}
	return r, err
}

// agree returns what every living node shows for a key, once it has seen everything
// that the demo wrote; empty if that is nothing. It fails where two show different
// things.
func (s *sites) agree(ctx context.Context, key string) (string, error) {
	table, kind := s.writable()
	var shown, by string
	for _, n := range s.c.keepers() {
		r, err := s.at[n.ID].Get(ctx, table, []byte(key), client.After(s.latest.Token))
		text := ""
		switch {
		case errors.Is(err, topology.ErrNotFound):
		case err != nil:
			return "", fmt.Errorf("%s/%s at %s: %w", table, key, n.ID, err)
		default:
			text = textOf(kind, r.Value)
		}
		if by != "" && text != shown {
			return "", fmt.Errorf("%s/%s is %q at %s and %q at %s", table, key, shown, by, text, n.ID)
		}
		shown, by = text, string(n.ID)
	}
	return shown, nil
}

// apart parts a site from all others, or ends that. Within it nothing changes.
func (s *sites) apart(ctx context.Context, word string, x *site) error {
	for _, n := range x.living() {
		for _, other := range s.c.living() {
			if other.site == x.name {
				continue
			}
			err := n.life.tell(ctx, word+" "+string(other.ID))
			if err == nil {
				err = other.life.tell(ctx, word+" "+string(n.ID))
			}
			if err != nil {
				return fmt.Errorf("%s the links between %s and %s: %w", word, n.ID, other.ID, err)
			}
		}
	}
	return nil
}

// conflicts are those that the leader of a site has met, of one key.
func (s *sites) conflicts(ctx context.Context, x *site, key string) (all []client.Conflict, err error) {
	table, _ := s.writable()
	return s.conflictsOf(ctx, x, table, key)
}

func (s *sites) conflictsOf(ctx context.Context, x *site, table, key string) (all []client.Conflict, err error) {
	for c, err := range s.at[x.leader.ID].Operator().Conflicts(ctx, x.leader.addr, client.ConflictPlace{}, conflictCut) {
		if err != nil {
			return nil, err
		}
		if c.Table == table && string(c.Key) == key {
			all = append(all, c)
		}
	}
	return all, nil
}

const conflictCut = 64 // bytes of a value that is shown

// tellConflicts shows conflicts as `triad conflicts list` does.
func (s *sites) tellConflicts(cs []client.Conflict) {
	var rows [][]string
	for _, c := range cs {
		rows = append(rows, []string{fmt.Sprint(c.LSN), c.Table + "/" + string(c.Key), string(c.Type), c.Resolver, rivals(c.Winner), rivals(c.Losers)})
	}
	s.line("%s conflicts list", s.o.Command)
	s.table([]string{"lsn", "table/key", "type", "resolver", "winner", "losers"}, rows)
}

func rivals(rs []client.Rival) string {
	var all []string
	for _, r := range rs {
		what := "removed"
		if !r.Removed {
			what = textOf(r.Kind, r.Value)
		}
		all = append(all, fmt.Sprintf("%s %s: %s", r.Site, r.Time.Time().UTC().Format("15:04:05.000"), what))
	}
	return strings.Join(all, ", ")
}

// links shows how the links of the sites are.
func (s *sites) links(ctx context.Context) error {
	var rows [][]string
	for _, x := range s.all {
		if x.leader.away.Load() {
			continue
		}
		l, err := s.status(ctx, x.leader)
		if err != nil {
			return err
		}
		for _, o := range l.Sites {
			if !o.Own {
				rows = append(rows, []string{x.name, o.Site, o.State, fmt.Sprint(o.Behind.Records), fmt.Sprint(o.Ahead.Records)})
			}
		}
	}
	s.table([]string{"site", "link to", "state", "behind", "ahead"}, rows)
	return nil
}

// since is how long something took, for people.
func since(began time.Time) string { return time.Since(began).Round(100 * time.Microsecond).String() }
