package strict

import (
	"slices"
	"strings"
)

// Nearest returns the word of some that was probably meant by s, empty if none
// is near: one letter in three may be wrong, or one word goes on where the other
// ends.
func Nearest(s string, of []string) string {
	best, least := "", (len(s)+1)/3+1
	if len(s) > nearestBytesMax {
		return ""
	}
	for _, w := range of {
		if d := distance(s, w, least); d < least {
			best, least = w, d
		}
	}
	for _, w := range of {
		if best == "" && min(len(s), len(w)) >= 3 && (strings.HasPrefix(s, w) || strings.HasPrefix(w, s)) {
			best = w
		}
	}
	return best
}

const nearestBytesMax = 64 // of a word that is compared

// distance counts the letters to insert, drop, replace or swap with their
// neighbour between two words; it may stop counting at most.
func distance(a, b string, most int) int {
	if d := len(a) - len(b); d >= most || -d >= most {
		return most
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j]+same, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		if slices.Min(row) >= most {
			return most
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
