package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// An address with a password is shown by no setting, also by one that takes no address.
func TestLoginsAreShownByNoSetting(t *testing.T) {
	t.Parallel()
	var defaults config.Config
	for _, setting := range defaults.Settings() {
		for _, value := range []string{"nats-route://u:SEKRIT@a:6222", "http://u:SEKRIT@h", "redis://u:SEK@RIT@h:1,redis://v:SEKRIT@h"} {
			cfg, err := config.Load(map[string]string{setting.Name: value})
			if text := fmt.Sprint(err, cfg.Settings()); strings.Contains(text, "SEKRIT") || strings.Contains(text, "RIT@") {
				t.Errorf("%s=%s is shown: %v", setting.Name, value, err)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "realtime.toml")
	if err := os.WriteFile(file, []byte("\"REDIS_URL=redis://:SEKRIT@h\" = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(map[string]string{"CONFIG_FILE": file}); err == nil || strings.Contains(err.Error(), "SEKRIT") {
		t.Errorf("a name of a setting: %v", err)
	}
}
