package topology

import "context"

// SiteChanger is an optional ability of an engine with several sites: to change which
// sites there are, while they work (rule K5). It is asked of the leader of a site that
// takes part; anybody else says ErrNotLeader. A change is agreed upon when the call
// returns; what follows of it goes on by itself, as Status shows. An error that is Unknown
// may yet have had its effect.
type SiteChanger interface {
	// AddSite gives a site its number and has it join: a new one, or one that has left, in
	// a new life and with empty directories. links are whom it exchanges with, where links
	// are listed.
	AddSite(ctx context.Context, name string, links []string) error
	// RetireSite has a site leave once all that it has written is everywhere.
	RetireSite(ctx context.Context, name string) error
	// EvictSite gives a site up that is lost: what none of the others has of it counts no
	// more. force does without its vote, where too few would be left else: two sites that
	// give each other up by force are two clusters from then on.
	EvictSite(ctx context.Context, name string, force bool) error
}
