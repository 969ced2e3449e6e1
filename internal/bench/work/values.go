package work

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// What values hold, where tables do not merge by their kind. Where siblings are kept, users
// give values a form that can be brought together: of a list of words the union, which
// brings back what one took out while another changed it; of a sum what each client has
// added, so that of the same client the newer part counts.

// wordsOf are the words of a list, of all siblings.
func wordsOf(h world.Held) (all []string) {
	if len(h.Words) > 0 {
		return h.Words
	}
	for _, v := range h.Values {
		for _, w := range strings.Fields(string(v)) {
			if len(h.Values) == 1 || !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
	}
	return all
}

// share is what one client has added to a sum, by so many changes.
type share struct{ changes, sum int64 }

// opening is the client whose share an account begins with: none.
const opening = -1

// sharesOf are the shares of a sum, of all siblings.
func sharesOf(h world.Held) (map[int64]share, error) {
	all := map[int64]share{}
	for _, v := range h.Values {
		for _, w := range strings.Fields(string(v)) {
			var client int64
			var s share
			if _, err := fmt.Sscanf(w, "%d:%d:%d", &client, &s.changes, &s.sum); err != nil {
				return nil, fmt.Errorf("%w: %.40q is no share of a sum", topology.ErrMalformed, w)
			}
			if s.changes > all[client].changes || client == opening {
				all[client] = s
			}
		}
	}
	return all, nil
}

// encoded are shares as a value holds them.
func encoded(all map[int64]share) []byte {
	clients := make([]int64, 0, len(all))
	for c := range all {
		clients = append(clients, c)
	}
	slices.Sort(clients)
	var b []byte
	for _, c := range clients {
		b = fmt.Appendf(b, "%d:%d:%d ", c, all[c].changes, all[c].sum)
	}
	return b
}

// sumOf is the sum that a key holds.
func (l *Load) sumOf(h world.Held) (int64, error) {
	switch {
	case l.kind() == record.KindCounter:
		return h.Number, nil
	case l.v.Siblings():
		all, err := sharesOf(h)
		var sum int64
		for _, s := range all {
			sum += s.sum
		}
		return sum, err
	case len(h.Values) == 0:
		return 0, nil
	}
	return numberOf(h.Values[0])
}

// added is the value of a sum to which a client has added: one that sumOf has read.
func (l *Load) added(h world.Held, client uint32, sum, by int64) []byte {
	if !l.v.Siblings() {
		return strconv.AppendInt(nil, sum+by, 10)
	}
	all, err := sharesOf(h)
	if err != nil {
		panic(err) // sumOf has read it
	}
	s := all[int64(client)]
	all[int64(client)] = share{s.changes + 1, s.sum + by}
	return encoded(all)
}

// opens is the value of a sum that begins with so much.
func (l *Load) opens(with int64) []byte {
	if l.v.Siblings() {
		return encoded(map[int64]share{opening: {sum: with}})
	}
	return strconv.AppendInt(nil, with, 10)
}
