package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/letswriteabook/realtime/lab/load"
	"github.com/letswriteabook/realtime/lab/load/suite"
)

// Write writes report.md and report.html into a folder.
func Write(dir string, summary suite.Summary, results []load.Result) error {
	page, err := HTML(summary, results)
	return errors.Join(err, write(dir, "report.md", Markdown(summary, results)), write(dir, "report.html", page))
}

func write(dir, name, text string) error {
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
