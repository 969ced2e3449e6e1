package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Sites are what an operator orders of the sites of a cluster that has several.
type Sites struct{ o Operator }

// SitesOf returns them.
func SitesOf(o Operator) Sites { return Sites{o} }

// AddSite gives a site its number and has it join the others while they work (rule M9).
// It is asked of the leader of a site that takes part, and returns once the sites have
// agreed; the site takes writes by itself once it has all that the others have, as Status
// shows. Its nodes start with empty directories and an engine that joins, before or after.
// links are whom it exchanges with, where links are listed.
func (o Sites) AddSite(ctx context.Context, name string, links ...string) error {
	return changeSites(ctx, o.o, "site add", name, func(s topology.SiteChanger) error { return s.AddSite(ctx, name, links) })
}

// RetireSite has a site leave: it takes no more writes, and is out once all that it has
// written is everywhere, as Status shows; then its nodes may be stopped.
func (o Sites) RetireSite(ctx context.Context, name string) error {
	return changeSites(ctx, o.o, "site retire", name, func(s topology.SiteChanger) error { return s.RetireSite(ctx, name) })
}

// EvictSite gives up a site that is lost: what none of the others has of it counts no
// more, and is put aside if it shows up again. force does without its vote.
func (o Sites) EvictSite(ctx context.Context, name string, force bool) error {
	return changeSites(ctx, o.o, "site evict", name, func(s topology.SiteChanger) error { return s.EvictSite(ctx, name, force) })
}

func changeSites(ctx context.Context, o Operator, op, name string, change func(topology.SiteChanger) error) error {
	return o.with(ctx, op, func() error {
		s, ok := o.n.engine.(topology.SiteChanger)
		switch {
		case !ok:
			return notApplied(fmt.Errorf("this topology has no sites that come and go: %w", topology.ErrUnsupported))
		case !topology.NodeID(name).Valid():
			return notApplied(fmt.Errorf("%w: %q is not a site's name", topology.ErrMalformed, name))
		}
		return change(s)
	})
}

// siteOf does what a remote operator wants of a site.
func siteOf(ctx context.Context, n remote, req []byte) ([]byte, error) {
	c, err := call.DecodeSiteChange(req)
	if err != nil {
		return nil, n.malformed("site", err)
	}
	switch o := SitesOf(n.Operator()); c.Op {
	case call.SiteAdd:
		err = o.AddSite(ctx, c.Site, c.Links...)
	case call.SiteRetire:
		err = o.RetireSite(ctx, c.Site)
	default:
		err = o.EvictSite(ctx, c.Site, c.Force)
	}
	if err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}
