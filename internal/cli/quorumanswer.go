package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/quorum/pbs"
)

// quorumAnswer is the whole answer of `triad quorum`.
type quorumAnswer struct {
	Replicas []quorumReplica `json:"replicas"`
	Read     string          `json:"read"`
	Write    string          `json:"write"`
	From     string          `json:"from,omitempty"`
	Repair   string          `json:"repair"`
	Order    string          `json:"order"`
	Sloppy   bool            `json:"sloppy,omitempty"`
	Received bool            `json:"received,omitempty"`

	Reading  string     `json:"reading"` // what a read is worth
	Promises []promised `json:"promises"`
	Survives int        `json:"survives_disks"`
	MayFail  []mayFail  `json:"may_fail"`
	Versions *versions  `json:"versions,omitempty"` // nil where there are too many replicas
	Times    *times     `json:"times,omitempty"`    // nil without a model
}

type quorumReplica struct {
	Node string `json:"node"`
	Site string `json:"site,omitempty"`
	Rack string `json:"rack,omitempty"`
}

type promised struct {
	Promise string `json:"promise"`
	Holds   bool   `json:"holds"`
	Why     string `json:"why"`
}

// mayFail is what may be lost while reads, or writes, go on.
type mayFail struct {
	What   string      `json:"what"`
	From   string      `json:"from,omitempty"` // asked from that site
	Least  int         `json:"least"`          // replicas that are enough
	Nodes  int         `json:"nodes"`
	Sites  int         `json:"sites,omitempty"`
	Within []siteFails `json:"within,omitempty"`
}

type siteFails struct {
	Site  string `json:"site"`
	Nodes int    `json:"nodes"`
	Of    int    `json:"of"`
}

// versions is how old in versions a read may be.
type versions struct {
	Stale  float64  `json:"stale"`
	Within []within `json:"within"`
}

type within struct {
	Versions    int     `json:"versions"`
	Probability float64 `json:"probability"`
}

// reached is a probability, or a share, and the time it is of.
type reached struct {
	Millis      float64 `json:"ms"`
	Probability float64 `json:"probability"`
}

// times is how old in time a read may be, and what it takes.
type times struct {
	Model  string    `json:"model"`
	About  string    `json:"about"`
	Trials int       `json:"trials"`
	Seed   uint64    `json:"seed"`
	Fresh  []reached `json:"fresh"`       // that long after the acknowledgement
	After  []reached `json:"fresh_after"` // so long after it with that probability
	Reads  []reached `json:"reads"`       // that share takes so long at most
	Writes []reached `json:"writes"`
}

// fail says how many replicas may fail.
func (a *quorumAnswer) fail(rs []quorum.Replica[string], read, write asked) error {
	var sites []string
	for _, r := range rs {
		if !slices.Contains(sites, r.Site) {
			sites = append(sites, r.Site)
		}
	}
	for _, x := range [...]struct {
		what string
		asked
	}{{"read", read}, {"write", write}} {
		for i, n := range x.needs {
			r, err := n.Resilience()
			if err != nil {
				return err
			}
			least, err := n.Least()
			if err != nil {
				return err
			}
			m := mayFail{What: x.what, Least: least, Nodes: r.Nodes, Sites: r.Sites}
			if len(x.needs) > 1 && local(x.expr) {
				m.From = sites[i]
			} else if i > 0 {
				continue // the same from everywhere
			}
			for _, w := range r.Within {
				m.Within = append(m.Within, siteFails(w))
			}
			a.MayFail = append(a.MayFail, m)
		}
	}
	return nil
}

// predict says how stale reads may be.
func (a *quorumAnswer) predict(f *quorumFlags, rs []quorum.Replica[string], read, write asked) error {
	if len(rs) <= pbs.OrdersMax {
		v := versions{}
		for _, r := range read.needs {
			for _, w := range write.needs {
				p, err := pbs.Stale(len(rs), r.Met, w.Met)
				if err != nil {
					return err
				}
				v.Stale += p / float64(len(read.needs)*len(write.needs))
			}
		}
		for _, k := range []int{1, 2, 3, 5, 10} {
			v.Within = append(v.Within, within{k, pbs.Within(v.Stale, k)})
		}
		a.Versions = &v
	}
	m, ok := pbs.ModelOf(f.model.value)
	if !ok {
		return nil
	}
	s := pbs.Setup{Replicas: len(rs), Model: m, Trials: f.trials, Seed: f.seed}
	s.Readers, s.Writers = askers(rs, read, f.from), askers(rs, write, f.from)
	got, err := s.Run()
	if err != nil {
		return err
	}
	t := &times{Model: m.Name, About: m.About, Trials: f.trials, Seed: f.seed}
	for _, at := range []float64{0, 1, 10, 100, 1000} {
		t.Fresh = append(t.Fresh, reached{Millis: at, Probability: got.Fresh(at)})
	}
	for _, p := range []float64{0.9, 0.99, 0.999} {
		t.After = append(t.After, reached{Millis: got.FreshAfter(p), Probability: p})
	}
	for _, p := range []float64{0.5, 0.99, 0.999} {
		t.Reads = append(t.Reads, reached{Millis: got.ReadMillis(p), Probability: p})
		t.Writes = append(t.Writes, reached{Millis: got.WriteMillis(p), Probability: p})
	}
	a.Times = t
	return nil
}

// askers are the places from which requests come: beside a replica, or anywhere in
// a site.
func askers(rs []quorum.Replica[string], x asked, from string) (out []pbs.Asker) {
	if rs[0].Site == "" {
		for i := range rs {
			out = append(out, pbs.Asker{Enough: x.needs[0].Met, Near: 1 << i})
		}
		return out
	}
	var sites []string
	near := map[string]uint64{}
	for i, r := range rs {
		if near[r.Site] == 0 && (from == "" || from == r.Site) {
			sites = append(sites, r.Site)
		}
		near[r.Site] |= 1 << i
	}
	for i, s := range sites {
		out = append(out, pbs.Asker{Enough: x.needs[min(i, len(x.needs)-1)].Met, Near: near[s]})
	}
	return out
}

// show prints the answer.
func (a *quorumAnswer) show(w io.Writer, form string) error {
	if form != "table" {
		return (&result{value: a}).write(w, form)
	}
	promises := grid.Table{Header: []string{"promise", "holds", "why"}}
	for _, p := range a.Promises {
		promises.Rows = append(promises.Rows, []string{p.Promise, yes(p.Holds), p.Why})
	}
	parts := []result{{above: a.heading() + "\n", table: promises}, {above: "\nHow much may fail:", table: a.failTable()}}
	if a.Versions != nil {
		parts = append(parts, result{above: "\n" + a.versionsText()})
	}
	if a.Times != nil {
		parts = append(parts, result{above: "\n" + a.Times.heading(), table: a.Times.table()})
	}
	for _, p := range parts {
		if err := p.write(w, form); err != nil {
			return err
		}
	}
	return nil
}

func (a *quorumAnswer) heading() string {
	var nodes []string
	for i, r := range a.Replicas {
		if r.Site != "" && (i == 0 || a.Replicas[i-1].Site != r.Site) {
			nodes = append(nodes, r.Site+":")
		}
		nodes = append(nodes, r.Node)
	}
	how := "repair " + a.Repair + ", order " + a.Order
	if a.Sloppy {
		how += ", sloppy"
	}
	if a.Received {
		how += ", answered before it is durable"
	}
	if a.From != "" {
		how += ", asked from " + a.From
	}
	worth := a.Reading
	if worth == "may be stale" {
		worth = "perhaps stale"
	}
	return grid.Plain(fmt.Sprintf("%d replicas (%s): a read needs %s, a write %s; %s.", len(a.Replicas), strings.Join(nodes, " "), a.Read, a.Write, how)) +
		"\nA read is " + worth + "."
}

func (a *quorumAnswer) failTable() grid.Table {
	t := grid.Table{Header: []string{"of", "asked from", "enough are", "any nodes", "any sites", "within one site"}}
	for _, m := range a.MayFail {
		var sites []string
		for _, w := range m.Within {
			sites = append(sites, fmt.Sprintf("%s: %d of %d", w.Site, w.Nodes, w.Of))
		}
		row := []string{m.What + "s", m.From, strconv.Itoa(m.Least), strconv.Itoa(m.Nodes), "", strings.Join(sites, ", ")}
		if m.Within != nil {
			row[4] = strconv.Itoa(m.Sites)
		}
		t.Rows = append(t.Rows, row)
	}
	if a.MayFail[0].Within == nil {
		t.Header = t.Header[:4]
		for i := range t.Rows {
			t.Rows[i] = t.Rows[i][:4]
		}
	}
	if !slices.ContainsFunc(a.MayFail, func(m mayFail) bool { return m.From != "" }) {
		t.Header = slices.Delete(t.Header, 1, 2)
		for i := range t.Rows {
			t.Rows[i] = slices.Delete(t.Rows[i], 1, 2)
		}
	}
	return t
}

func (a *quorumAnswer) versionsText() string {
	if a.Versions.Stale == 0 {
		return "While nothing fails every read meets the last write, whoever answers first."
	}
	var some []string
	for _, w := range a.Versions.Within[1:] {
		some = append(some, fmt.Sprintf("%d with %s", w.Versions, share(w.Probability)))
	}
	return fmt.Sprintf("If any order of answers is as likely as any other and nothing spreads meanwhile, a read shows the last\nwrite with a probability of %s, one of the last %s.",
		share(a.Versions.Within[0].Probability), strings.Join(some, ", "))
}

// share prints a probability.
func share(p float64) string { return strconv.FormatFloat(p, 'f', 6, 64) }

func (t *times) heading() string {
	return fmt.Sprintf("With the latencies of %s (%s), %d draws of seed %d:", t.Model, t.About, t.Trials, t.Seed)
}

func (t *times) table() grid.Table {
	g := grid.Table{Header: []string{"what", "probability", "ms"}}
	add := func(what string, rows []reached) {
		for _, r := range rows {
			g.Rows = append(g.Rows, []string{what, strconv.FormatFloat(r.Probability, 'f', 4, 64), strconv.FormatFloat(r.Millis, 'f', 2, 64)})
		}
	}
	add("a read so long after a write shows it", t.Fresh)
	add("so long after a write a read shows it", t.After)
	add("a read takes at most", t.Reads)
	add("a write takes at most", t.Writes)
	return g
}
