package backends

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/letswriteabook/realtime/internal/config"
)

// natsOptions returns how a connection shows who it is, and whom it takes. The client
// reads the files again with each connection.
func natsOptions(cfg config.Config) ([]nats.Option, error) {
	var options []nats.Option
	switch {
	case cfg.NATSCreds != "":
		options = append(options, nats.UserCredentials(cfg.NATSCreds))
	case cfg.NATSNkey != "":
		option, err := nats.NkeyOptionFromSeed(cfg.NATSNkey)
		if err != nil {
			return nil, fmt.Errorf("%w: NATS_NKEY_FILE: no seed in %s", config.ErrInvalid, cfg.NATSNkey)
		}
		options = append(options, option)
	case cfg.NATSUser != "":
		options = append(options, nats.UserInfo(cfg.NATSUser, cfg.NATSPassword))
	case cfg.NATSToken != "":
		options = append(options, nats.Token(cfg.NATSToken))
	}
	if cfg.NATSCA != "" {
		options = append(options, nats.RootCAs(cfg.NATSCA))
	}
	if cfg.NATSCert != "" {
		options = append(options, nats.ClientCert(cfg.NATSCert, cfg.NATSKey))
	}
	return options, nil
}
