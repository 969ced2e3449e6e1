package multileader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/topology"
)

// change has the sites agree on a roster that f makes of the present one. without is a
// site whose vote is not asked for, where an operator forces it.
func (k *council) change(ctx context.Context, without core.Site, f func(*core.Roster) (*core.Roster, error)) error {
	k.turn.Lock()
	defer k.turn.Unlock()
	var last error
	for range proposalsMax {
		r := k.present()
		if r == nil {
			return k.e.refusal()
		}
		want, err := f(r)
		if errors.Is(err, core.ErrAsIs) {
			return nil
		}
		if err == nil {
			err = k.e.o.reachesAll(want)
		}
		for i := range k.e.o.Filters {
			if err != nil {
				break
			}
			if err = k.e.o.holdersReach(want, &k.e.o.Filters[i]); err != nil {
				err = fmt.Errorf("%w: %w", topology.ErrConflict, err)
			}
		}
		if err != nil {
			return k.e.errorOf("site", topology.NotApplied, err)
		}
		done, err := k.propose(ctx, r, want, without)
		if done {
			return nil
		}
		if last = err; err == nil {
			continue // another change was agreed upon
		}
		t := time.NewTimer(proposalPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return k.e.errorOf("site", topology.Unknown, fmt.Errorf("%w: %w; `triad site list` says what has become of it", topology.ErrTimeout, last))
		}
	}
	return k.e.errorOf("site", topology.Unknown, fmt.Errorf("%w; `triad site list` says what has become of it", last))
}

// present is the roster that this site's log says, on its leader.
func (k *council) present() (r *core.Roster) {
	k.e.loop.call(func() {
		if c := k.e.reign.core; c != nil && c.Term != 0 {
			r = c.Roster()
		}
	})
	return r
}

// propose has want be the version after r, if nobody else was first. It reports whether
// it is what was agreed upon; without an error something was.
func (k *council) propose(ctx context.Context, r, want *core.Roster, without core.Site) (bool, error) {
	voters := r.Voters()
	asked := slices.DeleteFunc(slices.Clone(voters), func(s core.Site) bool { return s == without })
	enough := len(asked)/2 + 1
	if without == "" {
		enough = len(voters)/2 + 1
	}
	k.round++
	b := core.Ballot{Round: k.round, Number: k.e.seated(k.e.site).Number}
	promised, why := k.askAll(ctx, asked, core.Ask{Kind: core.AskPrepare, Version: want.Version, Ballot: b})
	value, best := want.Encode(), core.Ballot{}
	n, err := k.count(ctx, promised, r.Version, func(p *core.Reply) {
		if p.Accepted.Compare(best) > 0 {
			best, value = p.Accepted, p.Value
		}
	})
	if n < 0 {
		return false, err
	}
	if n < enough {
		return false, short("promised", n, enough, errors.Join(why, err))
	}
	accepted, why := k.askAll(ctx, asked, core.Ask{Kind: core.AskAccept, Version: want.Version, Ballot: b, Value: value})
	if n, err = k.count(ctx, accepted, r.Version, func(*core.Reply) {}); n < 0 {
		return false, err
	}
	if n < enough {
		return false, short("accepted", n, enough, errors.Join(why, err))
	}
	v, err := core.DecodeRoster(value)
	if err == nil {
		err = k.announce(ctx, v)
	}
	if err != nil {
		return false, err
	}
	return string(value) == string(want.Encode()), nil
}

// announce has the sites go by a roster that was agreed upon: this one first, and who is
// not reached hears it from others. Where this one has left by it, it goes by it last, and
// not before another does: nobody is linked with it from then on, and whoever runs it may
// stop it, so that the others would wait for ever for what they have agreed upon.
func (k *council) announce(ctx context.Context, v *core.Roster) error {
	self, learn := v.Seat(core.Site(k.e.site)), core.Ask{Kind: core.AskLearn, Value: v.Encode()}
	sites := others(v, k.e.site)
	if self != nil && !self.Here() && len(sites) > 0 {
		replies, why := k.askAll(ctx, sites, learn)
		if !slices.ContainsFunc(sites, func(s core.Site) bool { p := replies[s]; return p != nil && p.OK }) {
			return fmt.Errorf("%w: version %d of the roster, by which site %s has left, is agreed upon and at no other site yet: %w", topology.ErrUnavailable, v.Version, k.e.site, why)
		}
		sites = nil
	}
	if _, err := k.ask(ctx, core.Site(k.e.site), &learn); err != nil {
		return err
	}
	_, _ = k.askAll(ctx, sites, learn)
	return nil
}

func short(what string, n, enough int, why error) error {
	return fmt.Errorf("%w: %d sites have %s, %d are needed: %w", topology.ErrUnavailable, n, what, enough, why)
}

// count counts those who agree. If one knows a newer roster, that is learnt, and the
// count is −1.
func (k *council) count(ctx context.Context, replies map[core.Site]*core.Reply, at uint64, agrees func(*core.Reply)) (n int, err error) {
	for _, p := range replies {
		k.round = max(k.round, p.Promised.Round)
		v, derr := core.DecodeRoster(p.Roster)
		if derr == nil && v.Version > at {
			_, err := k.ask(ctx, core.Site(k.e.site), &core.Ask{Kind: core.AskLearn, Value: p.Roster})
			return -1, err
		}
		if p.OK {
			agrees(p)
			n++
		} else {
			err = fmt.Errorf("%w: another change is under way", topology.ErrConflict)
		}
	}
	return n, err
}

// AddSite implements topology.SiteChanger.
func (k *council) AddSite(ctx context.Context, name string, links []string) error {
	var to []core.Site
	for _, l := range links {
		to = append(to, core.Site(l))
	}
	return k.change(ctx, "", func(r *core.Roster) (*core.Roster, error) { return r.Add(core.Site(name), to) })
}

// RetireSite implements topology.SiteChanger.
func (k *council) RetireSite(ctx context.Context, name string) error {
	return k.change(ctx, "", func(r *core.Roster) (*core.Roster, error) {
		want, err := r.Retire(core.Site(name))
		if err == nil {
			err = k.e.o.keeps(r, want, name)
		}
		return want, err
	})
}

// EvictSite implements topology.SiteChanger.
func (k *council) EvictSite(ctx context.Context, name string, force bool) error {
	if name == k.e.site {
		return k.e.errorOf("site", topology.NotApplied, fmt.Errorf("%w: site %s can not give itself up: ask another one, or retire it", topology.ErrConflict, name))
	}
	without := core.Site("")
	if force {
		without = core.Site(name)
	}
	return k.change(ctx, without, func(r *core.Roster) (*core.Roster, error) { return r.Evict(core.Site(name)) })
}

var _ topology.SiteChanger = (*engine)(nil)
