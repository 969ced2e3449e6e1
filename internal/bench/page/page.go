// Package page makes of a report one page of HTML that needs no network and no other
// file: the numbers, what draws them, and what is to be said of them are in it. Charts
// are drawn by uPlot 1.6.32 (MIT, see uplot/LICENSE).
package page

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"

	"github.com/triad-kv/triad/internal/bench/result"
)

//go:embed uplot/uPlot.iife.min.js
var plotScript string

//go:embed uplot/uPlot.min.css
var plotStyle string

//go:embed uplot/LICENSE
var plotLicence string

//go:embed page.html
var pageText string

//go:embed page.js
var pageScript string

//go:embed page.css
var pageStyle string

//go:embed grow.html
var growText string

//go:embed grow.js
var growScript string

var growLayout = template.Must(template.New("grow").Parse(growText))

// Growth is the page of what costs as the work grows.
func Growth(g *result.Growth) ([]byte, error) {
	data, err := json.Marshal(g) // which escapes <, > and &: it ends no element
	if err != nil {
		return nil, fmt.Errorf("the page of a growth: %w", err)
	}
	var b bytes.Buffer
	err = growLayout.Execute(&b, map[string]any{
		"Report": g, "Data": template.JS(data), "PlotScript": template.JS(plotScript), "PlotStyle": template.CSS(plotStyle), "PlotLicence": plotLicence,
		"Script": template.JS(growScript), "Style": template.CSS(pageStyle),
	})
	return b.Bytes(), err
}

var layout = template.Must(template.New("page").Parse(pageText))

// HTML is the page of a report.
func HTML(r *result.Report) ([]byte, error) {
	data, err := json.Marshal(r) // which escapes <, > and &: it ends no element
	if err != nil {
		return nil, fmt.Errorf("the page of a report: %w", err)
	}
	var b bytes.Buffer
	err = layout.Execute(&b, map[string]any{
		"Report": r, "Data": template.JS(data), "Advice": result.Advise(r),
		"PlotScript": template.JS(plotScript), "PlotStyle": template.CSS(plotStyle), "PlotLicence": plotLicence,
		"Script": template.JS(pageScript), "Style": template.CSS(pageStyle),
	})
	return b.Bytes(), err
}
