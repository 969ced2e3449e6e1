package call

import (
	"fmt"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// SiteOp is what is to become of a site.
type SiteOp uint8

const (
	SiteAdd SiteOp = iota + 1
	SiteRetire
	SiteEvict
)

// SiteChange is what an operator wants of a site.
type SiteChange struct {
	Op    SiteOp
	Site  string
	Links []string // of one that is added
	Force bool     // of one that is given up
}

// EncodeSiteChange returns its bytes: op, site, links, force.
func EncodeSiteChange(c SiteChange) []byte {
	w := begin(4)
	w.Uint(uint64(c.Op))
	w.Str(c.Site)
	w.Array(len(c.Links))
	for _, l := range c.Links {
		w.Str(l)
	}
	w.Bool(c.Force)
	return w.Bytes()
}

// DecodeSiteChange reads it.
func DecodeSiteChange(b []byte) (SiteChange, error) {
	r, err := open(b, 4)
	if err != nil {
		return SiteChange{}, err
	}
	c := SiteChange{Op: SiteOp(r.UintMax(uint64(SiteEvict))), Site: r.StrMax(nameBytesMax)}
	for n := r.ArrayMax(sitesMax); n > 0 && r.Err() == nil; n-- {
		c.Links = append(c.Links, r.StrMax(nameBytesMax))
	}
	if c.Force = r.Bool(); c.Op == 0 && r.Err() == nil {
		r.Fail("it is not said what is to become of the site")
	}
	return c, done(&r)
}

const siteSeatFields = 3 // of a site: standing, holds, snapshot

func seated(s *topology.Status) bool {
	for i := range s.Sites {
		if x := &s.Sites[i]; x.Standing != "" || x.Holds != 0 || x.Snapshot != "" {
			return true
		}
	}
	return false
}

func putSeats(w *pack.Writer, sites []topology.SiteStatus) {
	w.Array(siteSeatFields * len(sites))
	for i := range sites {
		w.Str(sites[i].Standing)
		w.Uint(sites[i].Holds)
		w.Str(text(sites[i].Snapshot))
	}
}

func getSeats(r *pack.Reader, sites []topology.SiteStatus) {
	if n := r.ArrayMax(siteSeatFields * sitesMax); n != siteSeatFields*len(sites) {
		r.Fail(fmt.Sprintf("%d sites, and the standing of %d", len(sites), n/siteSeatFields))
		return
	}
	for i := range sites {
		sites[i].Standing, sites[i].Holds, sites[i].Snapshot = r.StrMax(nameBytesMax), r.Uint(), r.StrMax(textBytesMax)
	}
}

const (
	siteShareFields = 2    // of a site: whether it takes no writes, and what it does not hold, an array of 2n: table, records
	sharesMax       = 1024 // tables of a site; of more the first
)

func shared(s *topology.Status) bool {
	for i := range s.Sites {
		if x := &s.Sites[i]; x.ReadOnly || len(x.Without) > 0 {
			return true
		}
	}
	return false
}

func putShares(w *pack.Writer, sites []topology.SiteStatus) {
	w.Array(siteShareFields * len(sites))
	for i := range sites {
		w.Bool(sites[i].ReadOnly)
		tables := sites[i].Without[:min(len(sites[i].Without), sharesMax)]
		w.Array(2 * len(tables))
		for k := range tables {
			w.Str(text(tables[k].Table))
			w.Uint(tables[k].Records)
		}
	}
}

func getShares(r *pack.Reader, sites []topology.SiteStatus) {
	if n := r.ArrayMax(siteShareFields * sitesMax); n != siteShareFields*len(sites) {
		r.Fail(fmt.Sprintf("%d sites, and what %d hold", len(sites), n/siteShareFields))
		return
	}
	for i := range sites {
		sites[i].ReadOnly = r.Bool()
		n := r.ArrayMax(2 * sharesMax)
		if n%2 != 0 {
			r.Fail("tables are not whole")
		}
		for n /= 2; n > 0 && r.Err() == nil; n-- {
			sites[i].Without = append(sites[i].Without, topology.SkippedTable{Table: r.StrMax(textBytesMax), Records: r.Uint()})
		}
	}
}
