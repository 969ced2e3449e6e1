package bench

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/bench/page"
	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/demo/grid"
)

// GrowthText writes a growth as a terminal shows it.
func GrowthText(w io.Writer, g *result.Growth) error {
	var b strings.Builder
	for i := range g.Curves {
		c := &g.Curves[i]
		fmt.Fprintf(&b, "\n%s: %s (%s)\n", c.Axis, c.Subject, c.Promise)
		t := curveTable(c)
		if err := t.Write(&b); err != nil {
			return err
		}
		if k := c.Knee; k != nil {
			fmt.Fprintf(&b, "knee at %s clients, %s writes/s; what limits there: %s\n", number(k.X), number(k.Ops), k.Limit)
			t := grid.Table{Header: []string{"of the CPU", "itself", "with what it calls"}}
			for _, h := range k.Top {
				t.Rows = append(t.Rows, []string{h.Function, fmt.Sprintf("%.1f%%", 100*h.Flat), fmt.Sprintf("%.1f%%", 100*h.Cum)})
			}
			if err := t.Write(&b); err != nil {
				return err
			}
		} else if c.KneeNone != "" {
			fmt.Fprintf(&b, "no knee: %s\n", c.KneeNone)
		}
	}
	if g.Partial != "" {
		fmt.Fprintf(&b, "\nPARTIAL: %s\n", g.Partial)
	}
	fmt.Fprintf(&b, "\nCosts are of all nodes together, an acknowledged write; CPU includes the load. ~x^a: by which power a figure grows, with the 95%% interval of a.\n")
	fmt.Fprintf(&b, "%s, %d cores, of which others kept %.1f busy, %s, %s; %s\n", g.Machine, g.Cores, g.Foreign, g.Go, g.Began.Format(time.RFC3339), g.Command)
	_, err := io.WriteString(w, b.String())
	return err
}

// curveTable is a row for each figure of a curve, and a column for each place.
func curveTable(c *result.Curve) grid.Table {
	t := grid.Table{Header: []string{c.Axis}}
	for _, s := range c.Steps {
		if len(s.Runs) > 0 {
			t.Header = append(t.Header, fmt.Sprintf("%.0f%s", s.X, c.Unit))
		}
	}
	t.Header = append(t.Header, "grows")
	for _, m := range result.Measures {
		if m.Speed && !c.Speed {
			continue
		}
		_, ys := c.Values(m)
		row := []string{m.What}
		for _, y := range ys {
			row = append(row, number(y))
		}
		grows := ""
		for _, f := range c.Fits {
			if f.What == m.What {
				grows = fmt.Sprintf("~x^%.2f ±%.2f", f.Slope, f.Spread)
			}
		}
		t.Rows = append(t.Rows, append(row, grows))
	}
	return t
}

// SaveGrowth writes a growth into a directory, which it makes, and returns the path of each
// file.
func SaveGrowth(g *result.Growth, dir string) (paths []string, err error) {
	return save(dir, file{"grow.json", g.JSON}, file{"grow.html", func() ([]byte, error) { return page.Growth(g) }})
}

// file is one of a report.
type file struct {
	name string
	text func() ([]byte, error)
}

func save(dir string, files ...file) (paths []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := f.text()
		if err != nil {
			return paths, err
		}
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return paths, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}
