package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/letswriteabook/realtime/lab/load"
)

// How far a figure may be worse whatever the tolerance: what a clock, a scheduler
// and a page of metrics can show. By the end of the figure's name.
var floors = []struct {
	suffix string
	floor  float64
}{
	{"Ms", 2}, {"Bytes", 1 << 20}, {"Percent", 2}, {"PerSecond", 1},
}

// deviations is how many standard deviations of the repetitions are noise.
const deviations = 3

// Comparison is two runs side by side.
type Comparison struct {
	Base        string       `json:"base"`
	Target      string       `json:"target"`
	Regressions int          `json:"regressions"`
	Figures     []FigurePair `json:"figures"`
}

// FigurePair is one figure of both runs, or the status of a scenario.
type FigurePair struct {
	Scenario string  `json:"scenario"`
	Figure   string  `json:"figure"`
	Base     float64 `json:"base"`
	Target   float64 `json:"target"`
	// Noise is how far apart the two may be and mean the same.
	Noise   float64 `json:"noise"`
	Verdict string  `json:"verdict"`
}

// What a comparison says of a figure.
const (
	Same    = "same"
	Better  = "better"
	Worse   = "worse"
	Missing = "missing"
)

// CompareRuns compares the results of two folders that suites have left. Of a
// figure less is better, unless its name ends in PerSecond or Connections. A
// scenario that passed in the base and did not in the target is worse; one that
// the base does not have, or that was skipped there, is left out.
func CompareRuns(base, target string, tolerance float64) (Comparison, error) {
	c := Comparison{Base: base, Target: target, Figures: []FigurePair{}}
	before, err := results(base)
	if err != nil {
		return c, err
	}
	after, err := results(target)
	if err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		old := before[name]
		if old.Status == load.Skipped {
			continue
		}
		c.scenario(old, after[name], tolerance)
	}
	return c, nil
}

func (c *Comparison) scenario(old, young load.Result, tolerance float64) {
	if young.Status != load.Passed {
		if old.Status == load.Passed {
			verdict := Worse
			if young.Status != load.Failed {
				verdict = Missing
			}
			c.add(FigurePair{Scenario: old.Scenario, Figure: "passed", Base: 1, Verdict: verdict})
		}
		return
	}
	for _, name := range slices.Sorted(maps.Keys(old.Figures)) {
		pair := FigurePair{Scenario: old.Scenario, Figure: name, Base: old.Figures[name]}
		value, has := young.Figures[name]
		if pair.Target = value; !has {
			pair.Verdict = Missing
			c.add(pair)
			continue
		}
		pair.Noise = noise(name, pair.Base, old.Samples[name], young.Samples[name], tolerance)
		pair.Verdict = verdict(name, pair)
		c.add(pair)
	}
}

func (c *Comparison) add(pair FigurePair) {
	if pair.Verdict == Worse || pair.Verdict == Missing {
		c.Regressions++
	}
	c.Figures = append(c.Figures, pair)
}

// noise is how far apart two figures may be: the tolerance's share of the base,
// the spread of the repetitions of either, and what cannot be told apart.
func noise(name string, base float64, before, after []float64, tolerance float64) float64 {
	most := max(tolerance*math.Abs(base), deviations*spread(before), deviations*spread(after))
	for _, f := range floors {
		if strings.HasSuffix(name, f.suffix) {
			return max(most, f.floor)
		}
	}
	return most
}

// spread estimates the standard deviation by the median distance from the median,
// which one outlier does not move. Fewer than three values have none.
func spread(samples []float64) float64 {
	if len(samples) < 3 {
		return 0
	}
	const normal = 1.4826 // of a normal distribution's deviation to that distance
	middle := median(samples)
	distances := make([]float64, len(samples))
	for i, sample := range samples {
		distances[i] = math.Abs(sample - middle)
	}
	return normal * median(distances)
}

func verdict(name string, pair FigurePair) string {
	worse := pair.Target - pair.Base
	if strings.HasSuffix(name, "PerSecond") || strings.HasSuffix(name, "Connections") {
		worse = -worse
	}
	switch {
	case worse > pair.Noise:
		return Worse
	case worse < -pair.Noise:
		return Better
	}
	return Same
}

// Table writes what is not the same, and how many figures are.
func (c Comparison) Table(w io.Writer) {
	same := 0
	fmt.Fprintln(w, "SCENARIO\tFIGURE\tBASE\tTARGET\tNOISE\tVERDICT")
	for _, p := range c.Figures {
		if p.Verdict == Same {
			same++
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t±%.3g\t%s\n", p.Scenario, p.Figure, p.Base, p.Target, p.Noise, p.Verdict)
	}
	fmt.Fprintf(w, "%d figures are the same within the noise\t\t\t\t\t\n", same)
}

// results reads the results of a folder by scenario.
func results(dir string) (map[string]load.Result, error) {
	var summary Summary
	if err := read(filepath.Join(dir, SummaryFile), &summary); err != nil {
		return nil, err
	}
	all := map[string]load.Result{}
	for _, entry := range summary.Scenarios {
		var result load.Result
		if err := read(filepath.Join(dir, filepath.Base(entry.File)), &result); err != nil {
			return nil, err
		}
		all[entry.Name] = result
	}
	return all, nil
}

func read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("compare: %s: %w", path, err)
	}
	return nil
}
