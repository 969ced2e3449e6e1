package multileader

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// A table whose function can not be trusted is quarantined by a note in the system
// table, which reaches every site like a definition (rule M5): from there on the last
// writer is shown of what is concurrent, everywhere alike. What was written stays as it
// was, so a release, a note without a reason, shows what the function makes of it.
//
//	key    "quarantine/" and the table's id, eight hexadecimal digits
//	value  an array of three: format, 1; the site that asked for it; why, empty for a release
const (
	quarantinePrefix  = "quarantine/"
	quarantinesEnd    = "quarantine0"
	quarantineFormat  = 1
	quarantineWordMax = 1 << 10
)

// quarantine says why a table's function is not asked.
type quarantine struct {
	site string // that found out
	why  string
	at   version.Timestamp
}

func (q *quarantine) String() string {
	return fmt.Sprintf("site %s, %s: %s", q.site, q.at.Time().UTC().Format("2006-01-02 15:04:05"), q.why)
}

func quarantineKey(id record.TableID) []byte { return fmt.Appendf(nil, "%s%08x", quarantinePrefix, id) }

// quarantinedBy returns the table that a cell of the system table quarantines.
func quarantinedBy(key []byte) (record.TableID, bool) {
	word, ok := strings.CutPrefix(string(key), quarantinePrefix)
	id, err := strconv.ParseUint(word, 16, 32)
	return record.TableID(id), ok && err == nil && len(word) == 8
}

func (q *quarantine) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(quarantineFormat)
	w.Str(q.site)
	w.Str(q.why[:min(len(q.why), quarantineWordMax)])
	return w.Bytes()
}

func decodeQuarantine(v *record.Version) *quarantine {
	r := pack.NewReader(v.Value)
	r.ArrayOf(3)
	f := r.Uint()
	q := &quarantine{site: r.StrMax(nameBytesMax), why: r.StrMax(quarantineWordMax), at: v.Time}
	if r.Done() != nil || f != quarantineFormat {
		q.why = "for a reason that this version can not read" // it holds all the same
	}
	return q
}

// noteQuarantine hears what the cell of a table's quarantine holds.
func (t *tables) noteQuarantine(id record.TableID, s *record.State) {
	delete(t.held, id)
	for i := range s.Siblings {
		v := &s.Siblings[i]
		if q := decodeQuarantine(v); v.Absent || q.why == "" {
			t.freed[id] = v.Time
		} else {
			t.held[id] = q
		}
	}
}
