package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/google/pprof/profile"

	"github.com/triad-kv/triad/internal/bench/result"
)

// hotMax is how many functions of a profile are told.
const hotMax = 20

// hottest are the functions of a CPU profile that take most themselves, and how many
// seconds it has seen.
func hottest(b []byte) ([]result.Hot, float64, error) {
	if len(b) == 0 {
		return nil, 0, nil // another profile was under way
	}
	p, err := profile.Parse(bytes.NewReader(b))
	if err != nil {
		return nil, 0, fmt.Errorf("the profile can not be read: %w", err)
	}
	at := len(p.SampleType) - 1 // cpu, in nanoseconds
	flat, cum := map[string]int64{}, map[string]int64{}
	var total int64
	for _, s := range p.Sample {
		v := s.Value[at]
		total += v
		seen := map[string]bool{} // one that calls itself counts once
		for i, l := range s.Location {
			for j, line := range l.Line {
				name := line.Function.Name
				if i == 0 && j == 0 {
					flat[name] += v
				}
				if !seen[name] {
					seen[name] = true
					cum[name] += v
				}
			}
		}
	}
	if total == 0 {
		return nil, 0, nil
	}
	var all []result.Hot
	for name, v := range flat {
		all = append(all, result.Hot{Function: name, Flat: float64(v) / float64(total), Cum: float64(cum[name]) / float64(total)})
	}
	slices.SortFunc(all, func(a, b result.Hot) int {
		return cmp.Or(cmp.Compare(b.Flat, a.Flat), cmp.Compare(a.Function, b.Function))
	})
	return all[:min(len(all), hotMax)], float64(total) / 1e9, nil
}
