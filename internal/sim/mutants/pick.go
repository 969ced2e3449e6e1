package main

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
)

// pick returns the mutants whose name or rule match, and of those the third that
// a commit's hash chooses: three commits in a row need not cover all, but every
// mutant's turn comes with one commit in three. Empty: all.
func pick(all []mutant, run, commit string) ([]mutant, error) {
	re, err := regexp.Compile(run)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	third := uint64(0)
	if commit != "" {
		if third, err = strconv.ParseUint(commit[:min(len(commit), 15)], 16, 64); err != nil {
			return nil, fmt.Errorf("-third: %q is no commit's hash", commit)
		}
	}
	var picked []mutant
	for _, m := range all {
		h := fnv.New64a()
		h.Write([]byte(m.name))
		if (re.MatchString(m.name) || re.MatchString(m.rule)) && (commit == "" || h.Sum64()%3 == third%3) {
			picked = append(picked, m)
		}
	}
	return picked, nil
}
