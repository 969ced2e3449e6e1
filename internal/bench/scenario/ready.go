package scenario

import (
	"github.com/triad-kv/triad/benchmarks/scenarios"
	"github.com/triad-kv/triad/internal/config/strict"
)

// Names are those of the ready scenarios, sorted.
func Names() []string { return scenarios.Names() }

// Ready reads a ready scenario, and returns its text, too. Of a name that there is none
// of, the error is that of fs.ReadFile.
func Ready(name string, overrides ...strict.Override) (s *Scenario, text []byte, err error) {
	text, file, err := scenarios.Read(name)
	if err != nil {
		return nil, nil, err
	}
	s, err = Read(file, text, overrides...)
	return s, text, err
}
