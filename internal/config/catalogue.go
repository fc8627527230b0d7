package config

import (
	"fmt"

	"github.com/letswriteabook/realtime/messaging"
)

// LoadCatalogue returns the built-in catalogue and the kinds that CATALOGUE_FILE
// adds, if it is set.
func LoadCatalogue(cfg Config) (*messaging.Catalogue, error) {
	if cfg.Catalogue == "" {
		return messaging.DefaultCatalogue(), nil
	}
	catalogue, err := messaging.LoadCatalogue(cfg.Catalogue)
	if err != nil {
		return nil, fmt.Errorf("%w: CATALOGUE_FILE: %w", ErrInvalid, err)
	}
	return catalogue, nil
}
