package report

import (
	_ "embed"
	"html/template"
	"io"
)

// The page is self-contained: it includes its styles and the plot, has no scripts, and
// requests nothing over the network.
//
//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// HTML writes the report as one page that works offline.
func (d Drill) HTML(w io.Writer) error {
	content := struct {
		Drill
		Facts    []fact
		Sections []section
		Plot     *plot
	}{Drill: d, Facts: d.facts(), Sections: d.sections()}
	if t := d.Result.Timeline; t != nil && len(t.Attempted) > 0 {
		drawn := t.draw()
		content.Plot = &drawn
	}
	return page.Execute(w, content)
}
