package load

import (
	"encoding/json"
	"fmt"
	"os"
)

// Budgets are upper bounds of figures, by the name of the scenario and of the
// figure: what a run has to stay within, beyond what the scenarios check
// themselves.
type Budgets map[string]map[string]float64

// LoadBudgets reads a file of budgets.
func LoadBudgets(path string) (Budgets, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("budgets: %w", err)
	}
	var budgets Budgets
	if err := json.Unmarshal(text, &budgets); err != nil {
		return nil, fmt.Errorf("budgets %s: want {scenario: {figure: number}}: %w", path, err)
	}
	return budgets, nil
}

// Apply adds a check for each budget of the result's scenario. A scenario that was
// skipped has no figures and meets none.
func (b Budgets) Apply(r *Result) {
	if r.Status == Skipped {
		return
	}
	for _, name := range sortedKeys(b[r.Scenario]) {
		limit := b[r.Scenario][name]
		got, known := r.Figures[name]
		text := "no such figure"
		if known {
			text = fmt.Sprintf("%.4g", got)
		}
		r.Check("budget of "+name, known && got <= limit, fmt.Sprintf("at most %g", limit), text)
	}
	r.Settle()
}
