package cluster

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:embed *.conf
var files embed.FS

// Write writes the configuration files into a folder, which it makes.
func Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the NATS configuration: %w", err)
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		return fmt.Errorf("write the NATS configuration: %w", err)
	}
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return fmt.Errorf("write the NATS configuration: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, entry.Name()), text, 0o644); err != nil {
			return fmt.Errorf("write the NATS configuration: %w", err)
		}
	}
	return nil
}
