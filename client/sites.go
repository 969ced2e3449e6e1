package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
)

// AddSite has the node at addr, which must lead a site that takes part, give a site its
// number and let it join. See topology.SiteChanger.
func (o Operator) AddSite(ctx context.Context, addr, name string, links ...string) error {
	return o.site(ctx, addr, "site add", call.SiteChange{Op: call.SiteAdd, Site: name, Links: links})
}

// RetireSite has a site leave once all that it has written is everywhere.
func (o Operator) RetireSite(ctx context.Context, addr, name string) error {
	return o.site(ctx, addr, "site retire", call.SiteChange{Op: call.SiteRetire, Site: name})
}

// EvictSite gives a site up that is lost.
func (o Operator) EvictSite(ctx context.Context, addr, name string, force bool) error {
	return o.site(ctx, addr, "site evict", call.SiteChange{Op: call.SiteEvict, Site: name, Force: force})
}

func (o Operator) site(ctx context.Context, addr, op string, s call.SiteChange) error {
	if _, err := o.c.askAt(ctx, addr, call.MethodSite, call.EncodeSiteChange(s)); err != nil {
		return errorOf(op, "", nil, err)
	}
	return nil
}
