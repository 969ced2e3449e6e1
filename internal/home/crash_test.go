package home

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
)

// said is what a directory's life has promised at a moment.
type said struct {
	life     uint64            // 0 before Open returned
	saved    map[string]string // what Save returned for
	under    string            // the document whose Save is under way
	underNew string
}

// allows reports whether a document may hold v.
func (s said) allows(name, v string) bool {
	return v == s.saved[name] || name == s.under && v == s.underNew
}

func TestACrashAtEveryCallKeepsIdentityDocumentsAndPlaces(t *testing.T) {
	type wreck struct {
		fs *crashfs.FS
		at string
		said
	}
	var all []wreck
	now := said{saved: map[string]string{}}
	rng := rand.New(rand.NewPCG(1, 1))
	disk := crashfs.New()
	disk.Before(func(c crashfs.Call) error {
		for _, s := range crashfs.Survivals {
			kept := now
			kept.saved = map[string]string{}
			for k, v := range now.saved {
				kept.saved[k] = v
			}
			all = append(all, wreck{disk.Crash(s, rng, c), fmt.Sprintf("%s before %v", s, c), kept})
		}
		return nil
	})
	h := open(t, disk)
	now.life = h.Life()
	for i, name := range []string{"term", "group/a", "term", "term"} {
		now.under, now.underNew = name, fmt.Sprint("v", i)
		require.NoError(t, h.Save(name, []byte(now.underNew)))
		now.saved[name], now.under = now.underNew, ""
	}
	_, err := h.Place("log")
	require.NoError(t, err)
	disk.Before(nil)

	for _, w := range all {
		load := func(disk *crashfs.FS, at string) (uint64, map[string]string) {
			h, err := Open(options(disk, "data/a"))
			require.NoError(t, err, at)
			defer func() { require.NoError(t, h.Close()) }()
			got := map[string]string{}
			for _, name := range []string{"term", "group/a"} {
				b, err := h.Load(name)
				require.NoError(t, err, at)
				got[name] = string(b)
			}
			_, err = h.Place("log")
			require.NoError(t, err, at)
			return h.Life(), got
		}
		life, got := load(w.fs, w.at)
		if w.life != 0 {
			require.Equal(t, w.life, life, w.at)
		}
		for name, v := range got {
			require.True(t, w.allows(name, v), "%s: %s holds %q", w.at, name, v)
		}
		// What was seen once is not taken back, whatever happens to the machine.
		later, again := load(w.fs.PowerCut(), w.at+"; then the power fails")
		require.Equal(t, life, later, w.at)
		require.Equal(t, got, again, w.at)
	}
}
