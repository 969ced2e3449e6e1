package multileader

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// Options configure a multi-leader engine. They must be the same on every node, but
// for what Group says may differ.
type Options struct {
	// Sites are all that take part, with their numbers, which are never given to
	// another site: the dots of a site's writes begin with it.
	Sites []Site
	// Joins says that this node's site is to be added to sites that work: it takes the
	// roster from them, and Sites are not looked at.
	Joins bool
	// Links says who exchanges with whom; the zero value is Mesh.
	Links Links
	// Group is how each site replicates within. What it says of members concerns the
	// node's own site; its policy counts members of that site alone.
	Group singleleader.Options
	// MaxSkew is how far ahead of this node's clock a record's time may be before the
	// records of its site wait (C3). Default 500 ms.
	MaxSkew time.Duration
	// TickEvery is the pause between two looks at what only time can tell: what a
	// peer is told while nothing is written, gaps, clocks. Default 50 ms.
	TickEvery time.Duration
	// CutEvery is how often a site says what it has for good, while there is something to
	// say: what all have can be forgotten, deletes first of all. Default 10 s; negative: never.
	CutEvery time.Duration
	// ExpiryGrace is how long the site that wrote a key last is left to remove it once it
	// has expired; after that every site does, as it does at once where somebody asks its
	// leader. Default 5 s.
	ExpiryGrace time.Duration
	// ConflictsKept is for how long what lost to a concurrent write is kept. Default 7 days.
	ConflictsKept time.Duration
	// ConflictsBytesMax bounds the list of conflicts: of more the oldest go. Default 256 MiB.
	ConflictsBytesMax uint64
	// SnapshotKept is for how long a snapshot is kept that a site takes of this one and
	// does not go on with, and the log behind it. Default 5 min.
	SnapshotKept time.Duration
	// VerifyEvery is the pause between two comparisons of what sites hold, which the
	// leader of each site makes with the sites whose number is greater and with its own
	// followers, at 8 MiB a second (rule M8). What differs is in the status. Default 24 h;
	// negative: never.
	VerifyEvery time.Duration
	// RetainBytesMax bounds the log kept for sites that are away. Default 1 GiB.
	RetainBytesMax uint64
	// Resolvers are those that tables may name besides the ones that are always there:
	// functions of one's own. Nil is none. A table that names one which a node has not is
	// refused by that node, and its writes are kept all the same.
	Resolvers *conflict.Registry
	// FoldTimeMax is how long such a function may take before its table is quarantined:
	// on the average of all a function takes some microseconds. Default 10 s.
	FoldTimeMax time.Duration
	// Limits bound what a core holds and sends; a field that is zero is the default of
	// sites that are far from one another.
	Limits core.Limits
	// Filters are the tables that not all sites hold. What a site has once left out of a
	// table it never gets: a site that is to hold the table begins anew.
	Filters []Filter
	// ReadOnly are the sites that take no writes of clients: what others write they hold,
	// show and pass on, and say what they have for good, like all sites.
	ReadOnly []string

	filters core.Filters // Filters by numbers
}

// Site is one data centre.
type Site struct {
	Name   string // as members name theirs
	Number uint32 // from 1; never another site's, not even later
}

// Links is the shape in which sites are linked.
type Links struct {
	Shape Shape
	Hub   string      // of a star
	Pairs [][2]string // of a list
}

// Shape is a way to link sites.
type Shape uint8

const (
	Mesh Shape = iota // everybody with everybody
	Ring              // each with the next, in the order of Sites
	Star              // each with the hub
	List              // as Pairs says
)

func (s Shape) String() string {
	return [...]string{"mesh", "ring", "star", "list"}[min(s, List)]
}

// Limits of a configuration.
const (
	sitesMax         = 64
	tickDefault      = 50 * time.Millisecond
	tickMin          = time.Millisecond
	resendTicks      = 100 // without progress: a stream loses nothing, so only a peer that is stuck needs it
	gapTicks         = 20  // likewise: a gap is what a peer had no room for and has forgotten
	fetchTicks       = 600 // a link breaks for a while, and the snapshot goes on
	cutDefault       = 10 * time.Second
	expiryDefault    = 5 * time.Second
	conflictsDefault = 7 * 24 * time.Hour
	retainDefault    = 1 << 30
	verifyDefault    = 24 * time.Hour
	shipmentBytesMax = 1 << 20
	foldTimeDefault  = 10 * time.Second

	conflictBytesDefault = 256 << 20
)

// limitsDefault are those of a core whose links are streams across half the world: a
// window has to hold what passes while an acknowledgement is on its way.
var limitsDefault = core.Limits{
	Queue: 4096, Uncommitted: 16384, Shipment: 512, Window: 1 << 16, WindowBytes: 64 << 20,
	ResendTicks: resendTicks, GapTicks: gapTicks, FetchTicks: fetchTicks, PartBytes: partBytesMax,
}

// withDefaults returns o as it is meant, for a node of site self.
func (o Options) withDefaults(self string) (Options, error) {
	errs := append(o.badSites(self), o.badFilters()...)
	o.filters = o.coreFilters()
	switch {
	case o.TickEvery == 0:
		o.TickEvery = tickDefault
	case o.TickEvery < tickMin:
		errs = append(errs, fmt.Errorf("tick every %v: at least %v", o.TickEvery, tickMin))
	}
	if o.CutEvery == 0 {
		o.CutEvery = cutDefault
	}
	if o.ExpiryGrace <= 0 {
		o.ExpiryGrace = expiryDefault
	}
	if o.ConflictsKept <= 0 {
		o.ConflictsKept = conflictsDefault
	}
	if o.Resolvers == nil {
		o.Resolvers, _ = conflict.NewRegistry() // of those that are always there
	}
	if o.FoldTimeMax <= 0 {
		o.FoldTimeMax = foldTimeDefault
	}
	if o.SnapshotKept <= 0 {
		o.SnapshotKept = SnapshotKeptDefault
	}
	if o.VerifyEvery == 0 {
		o.VerifyEvery = verifyDefault
	}
	if o.MaxSkew < 0 {
		errs = append(errs, fmt.Errorf("max skew %v is negative", o.MaxSkew))
	}
	if o.ConflictsBytesMax == 0 {
		o.ConflictsBytesMax = conflictBytesDefault
	}
	if o.RetainBytesMax == 0 {
		o.RetainBytesMax = retainDefault
	}
	o.Limits = o.Limits.Or(limitsDefault)
	return o, errors.Join(errs...)
}

// badSites says what is wrong with the sites and their links.
func (o *Options) badSites(self string) (errs []error) {
	if o.Joins {
		if !topology.NodeID(self).Valid() {
			return []error{fmt.Errorf("%q is not a site's name", self)}
		}
		return nil
	}
	if len(o.Sites) == 0 || len(o.Sites) > sitesMax {
		return []error{fmt.Errorf("%d sites: from 1 to %d", len(o.Sites), sitesMax)}
	}
	for i, s := range o.Sites {
		if !topology.NodeID(s.Name).Valid() {
			errs = append(errs, fmt.Errorf("%q is not a site's name", s.Name))
		}
		if s.Number == 0 {
			errs = append(errs, fmt.Errorf("site %s has no number: it takes one from 1 on, for good", s.Name))
		}
		for _, t := range o.Sites[:i] {
			switch {
			case s.Name == t.Name:
				errs = append(errs, fmt.Errorf("site %s is there twice", s.Name))
			case s.Number == t.Number:
				errs = append(errs, fmt.Errorf("sites %s and %s have one number, %d: their writes would be each other's", t.Name, s.Name, s.Number))
			}
		}
	}
	if _, ok := o.site(self); !ok {
		errs = append(errs, fmt.Errorf("this node's site %q is not among the sites", self))
	}
	return append(errs, o.badLinks()...)
}

func (o *Options) badLinks() (errs []error) {
	switch o.Links.Shape {
	case Star:
		if _, ok := o.site(o.Links.Hub); !ok {
			errs = append(errs, fmt.Errorf("links: the hub %q is not among the sites", o.Links.Hub))
		}
	case List:
		for _, p := range o.Links.Pairs {
			for _, name := range p {
				if _, ok := o.site(name); !ok {
					errs = append(errs, fmt.Errorf("links: %q is not among the sites", name))
				}
			}
			if p[0] == p[1] {
				errs = append(errs, fmt.Errorf("links: %s is linked with itself", p[0]))
			}
		}
	}
	if len(errs) == 0 {
		if away := o.unreached(); len(away) > 0 {
			errs = append(errs, fmt.Errorf("links: nothing of %s reaches %v", o.Sites[0].Name, away))
		}
	}
	return errs
}

func (o *Options) site(name string) (Site, bool) {
	i := slices.IndexFunc(o.Sites, func(s Site) bool { return s.Name == name })
	if i < 0 {
		return Site{}, false
	}
	return o.Sites[i], true
}

// linked reports whether two sites exchange with one another, by the configuration.
func (o *Options) linked(a, b string) bool { return o.linkedBy(o.founding(), a, b) }

// unreached returns the sites that no chain of links leads to from the first.
func (o *Options) unreached() (away []string) {
	reached := map[string]bool{o.Sites[0].Name: true}
	for range o.Sites {
		for _, a := range o.Sites {
			for _, b := range o.Sites {
				if reached[a.Name] && o.linked(a.Name, b.Name) {
					reached[b.Name] = true
				}
			}
		}
	}
	for _, s := range o.Sites {
		if !reached[s.Name] {
			away = append(away, s.Name)
		}
	}
	return away
}
