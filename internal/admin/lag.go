package admin

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/topology"
)

// lagBounds are how far behind a node may be; each below 0 is no bound.
type lagBounds struct {
	records, bytes int64
	time           time.Duration
}

// units are those of bytes. As in PostgreSQL, and so in Patroni's lag, kB and MB
// are powers of two; so are the units of configurations.
var units = []struct {
	name string
	n    int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", 1 << 40}, {"B", 1},
}

const (
	queryBytesMax = 1 << 10
	lagsMax       = 8 // bounds of one question
)

// lags reads a query: each lag=… is a bound, a number of records as in 100, bytes
// as in 1MB, or time as in 500ms. All must hold. Another key, or a bound that is
// none, is an error: a bound that was misspelt must not be taken for none.
func lags(query string) (lagBounds, error) {
	b := lagBounds{records: -1, bytes: -1, time: -1}
	if query == "" {
		return b, nil
	}
	if len(query) > queryBytesMax {
		return b, errors.New("the query is too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return b, errors.New("the query can not be read")
	}
	for key, texts := range values {
		if key != "lag" {
			return b, fmt.Errorf("there is no %.32q to ask for; lag=100, lag=1MB and lag=500ms there are", key)
		}
		if len(texts) > lagsMax {
			return b, fmt.Errorf("more than %d bounds", lagsMax)
		}
		for _, text := range texts {
			if err := b.add(text); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

// add reads one bound. Of two of a kind the tighter holds.
func (b *lagBounds) add(text string) error {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		b.records = tighter(b.records, n)
		return nil
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err == nil && n >= 0 && n <= math.MaxInt64/u.n {
			b.bytes = tighter(b.bytes, n*u.n)
			return nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		b.time = time.Duration(tighter(int64(b.time), int64(d)))
		return nil
	}
	return fmt.Errorf("lag=%.32q is none of records, as in 100, bytes, as in 1MB, or time, as in 500ms", text)
}

func tighter(was, now int64) int64 {
	if was < 0 {
		return now
	}
	return min(was, now)
}

// met reports whether a follower is within the bounds. One that does not know how
// far behind it is is within none.
func (b lagBounds) met(s *topology.Status) bool {
	switch {
	case b.records < 0 && b.bytes < 0 && b.time < 0:
		return true
	case s.Stale < 0,
		b.records >= 0 && s.Lag.Records > uint64(b.records),
		b.bytes >= 0 && s.Lag.Bytes > uint64(b.bytes),
		b.time >= 0 && s.Stale > b.time:
		return false
	}
	return true
}
