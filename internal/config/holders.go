package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/multileader"
)

// shares holds the rules of what sites hold, and which of them take writes.
type shares struct{ checker }

// filters are the tables that not all sites hold.
func filters(ts []Table) (fs []multileader.Filter) {
	for _, t := range ts {
		if len(t.Sites) > 0 {
			fs = append(fs, multileader.Filter{Table: t.Name, Sites: t.Sites})
		}
	}
	return fs
}

// holders checks which sites hold a table.
func (c shares) holders(path string, topology Topology, t Table) {
	at := path + ".sites"
	switch {
	case !c.Given(at) || c.Faulty(at):
		return
	case !topology.several():
		c.Fault(at, "it belongs to %s: elsewhere every table is held wherever there is data; drop it", kindMultiLeader)
		return
	case len(t.Sites) == 0:
		c.Fault(at, "no site holds it; name those that do, or drop it, and all do")
		return
	case c.Faulty("topology") || c.Faulty("sites"):
		return
	}
	for i, name := range t.Sites {
		if !topology.Joins && !c.siteThere(index(at, i), topology, name) {
			return
		}
	}
	if err := topology.siteOptions().CheckFilter(multileader.Filter{Table: t.Name, Sites: t.Sites}); err != nil {
		why, _, _ := strings.Cut(err.Error(), "\n")
		c.Fault(at, "%s", strings.TrimPrefix(why, fmt.Sprintf("table %s: ", t.Name)))
	}
}

// siteThere wants the name of a site that is there, or is expected.
func (c shares) siteThere(at string, t Topology, name string) bool {
	names := append(t.siteNames(), t.Expects...)
	if slices.Contains(names, name) {
		return true
	}
	why := fmt.Sprintf("there is no site %.70q; sites are %s", name, strings.Join(names, ", "))
	if near := strict.Nearest(name, names); near != "" {
		why += "; did you mean " + near + "?"
	}
	c.Fault(at, "%s", why)
	return false
}

// readOnly checks which sites take no writes.
func (c shares) readOnly(t Topology) {
	const path = "topology.read_only"
	if c.Faulty(path) {
		return
	}
	for i, name := range t.ReadOnly {
		if !c.siteThere(index(path, i), t, name) {
			return
		}
		if slices.Contains(t.ReadOnly[:i], name) {
			c.Fault(index(path, i), "%s stands there already", name)
			return
		}
	}
	if len(t.ReadOnly) > 0 && !slices.ContainsFunc(t.siteNames(), func(s string) bool { return !slices.Contains(t.ReadOnly, s) }) {
		c.Fault(path, "no site takes writes: leave out at least one of %s", strings.Join(t.siteNames(), ", "))
	}
}

// unfed warns of sites that no other could bring up to date once logs are dropped.
func (c shares) unfed(t Topology, ts []Table) {
	fs := filters(ts)
	if !t.several() || len(fs) == 0 || c.Faulty("topology") || c.Faulty("sites") || c.Faulty("tables") {
		return
	}
	o := t.siteOptions()
	o.Filters = fs
	for _, s := range t.siteNames() {
		if !o.Fed(s) {
			c.Warn(strict.Join("tables", fs[0].Table)+".sites", "no site that is linked with %s holds all tables that %[1]s holds and others write to, so nobody may have a snapshot for it: if it is away for longer than the others keep their logs for it (topology.retain_bytes_max) it may not catch up again", s)
		}
	}
}
