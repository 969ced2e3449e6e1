package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

// leads says who leads what is called one, as in "a leads term 3".
func leads(id topology.NodeID, term uint64) string {
	if id == "" {
		return "nobody leads"
	}
	return fmt.Sprintf("%s leads term %d", id, term)
}

// unled is the error of an overview in which somebody should lead and nobody does.
func (o overview) unled() error {
	if admin.Overview(o).Leaderless() {
		if slices.ContainsFunc(o.Members, func(m admin.Member) bool { return m.Role.Writes() }) {
			return nil
		}
		return advise(fmt.Errorf("no node that answers takes writes: %w", topology.ErrUnavailable))
	}
	if len(o.Sites) == 0 && o.Leader == "" {
		return advise(fmt.Errorf("no node that answers leads: %w", topology.ErrUnavailable))
	}
	var errs []error
	for _, s := range o.Sites {
		if s.Leader == "" {
			errs = append(errs, fmt.Errorf("no node that answers leads site %s: %w", s.Site, topology.ErrUnavailable))
		}
	}
	return advise(errors.Join(errs...))
}

// sites says who leads each site and how they are linked: what stands above the table
// of members, and below.
func (o overview) sites() (above string, below []string) {
	lines := []string{fmt.Sprintf("cluster %s: %s, %d sites", o.Cluster, o.Topology, len(o.Sites))}
	links := grid.Table{Header: []string{"site", "link to", "state", "leader there", "behind", "ahead"}}
	for _, s := range o.Sites {
		line := fmt.Sprintf("site %s: %s, commits wait for %s", s.Site, leads(s.Leader, s.Term), s.Policy)
		if s.Leader == "" && s.Policy == "" {
			line = fmt.Sprintf("site %s: no node of it answers", s.Site)
		}
		if s.Paused {
			line += ", automatic failover is paused"
		}
		lines = append(lines, line)
		for _, l := range s.Links {
			links.Rows = append(links.Rows, []string{s.Site, l.Site, l.State, string(l.Peer), fmt.Sprint(l.Behind.Records), fmt.Sprint(l.Ahead.Records)})
			if l.Problem != "" {
				below = append(below, grid.Plain(fmt.Sprintf("link of %s to %s: %s", s.Site, l.Site, l.Problem)))
			}
		}
	}
	for i := range lines {
		lines[i] = grid.Plain(lines[i])
	}
	if len(links.Rows) > 0 {
		var b strings.Builder
		_ = links.Write(&b) // a builder takes everything
		below = append([]string{"\n" + strings.TrimSuffix(b.String(), "\n")}, below...)
	}
	return strings.Join(lines, "\n"), below
}
