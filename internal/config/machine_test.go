package config_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/letswriteabook/realtime/internal/config"
)

// What this machine cannot do is refused with the name of the setting, and leaves nothing
// behind. An address that a gateway has taken is no error.
func TestCheckMachine(t *testing.T) {
	t.Parallel()
	const elsewhere = "192.0.2.1" // of no machine: RFC 5737
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := t.TempDir()
	file := write(t, "file", "")
	locked := t.TempDir()
	if err := os.Mkdir(filepath.Join(locked, "LOCK"), 0o700); err != nil { // which opens for no writing, also for root
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		environ map[string]string
		want    string // part of the error; empty: none
	}{
		"defaults":                     {environ: map[string]string{"DATA_DIR": dir}},
		"a folder to create":           {environ: map[string]string{"DATA_DIR": filepath.Join(dir, "a", "b")}},
		"an address that is taken":     {environ: map[string]string{"DATA_DIR": dir, "NATS_LISTEN": taken.Addr().String()}},
		"host":                         {environ: map[string]string{"HOST": elsewhere, "DATA_DIR": dir}, want: "HOST and PORT (the public address): cannot listen on " + elsewhere},
		"operators":                    {environ: map[string]string{"ADMIN_ADDR": elsewhere + ":9000", "DATA_DIR": dir}, want: "ADMIN_ADDR: cannot listen on " + elsewhere},
		"NATS clients":                 {environ: map[string]string{"NATS_LISTEN": elsewhere + ":4222", "DATA_DIR": dir}, want: "NATS_LISTEN: cannot listen on " + elsewhere},
		"NATS servers":                 {environ: map[string]string{"NATS_CLUSTER": "127.0.0.1:6222", "NATS_CLUSTER_LISTEN": elsewhere + ":6222", "DATA_DIR": dir}, want: "NATS_CLUSTER_LISTEN: cannot listen on " + elsewhere},
		"a file in place of DATA_DIR":  {environ: map[string]string{"DATA_DIR": file}, want: "DATA_DIR: " + file + " is a file"},
		"a folder below a file":        {environ: map[string]string{"DATA_DIR": filepath.Join(file, "data")}, want: "cannot be created: " + file + " is a file"},
		"a folder below /proc":         {environ: map[string]string{"DATA_DIR": "/proc/no-such-process"}, want: "DATA_DIR: the folder /proc/no-such-process cannot be created in /proc"},
		"a lock of another user":       {environ: map[string]string{"DATA_DIR": locked}, want: "DATA_DIR: a file of an earlier start cannot be written"},
		"a socket":                     {environ: map[string]string{"LISTEN": "unix:/tmp/realtime-check.sock", "DATA_DIR": dir}},
		"a socket in no folder":        {environ: map[string]string{"LISTEN": "unix:/nonexistent/http.sock", "DATA_DIR": dir}, want: "LISTEN: stat /nonexistent: no such file"},
		"a socket below a file":        {environ: map[string]string{"LISTEN": "unix:/dev/null/http.sock", "DATA_DIR": dir}, want: "LISTEN: /dev/null is a file"},
		"certificates below a file":    {environ: map[string]string{"ACME_HOSTS": "a.example", "ACME_CACHE_DIR": filepath.Join(file, "acme"), "DATA_DIR": dir}, want: "ACME_CACHE_DIR: the folder " + filepath.Join(file, "acme") + " cannot be created"},
		"certificates of no authority": {environ: map[string]string{"ACME_CACHE_DIR": filepath.Join(file, "acme"), "DATA_DIR": dir}},
		"NATS apart":                   {environ: map[string]string{"DATA_DIR": file, "NATS_URL": "nats://127.0.0.1:4222", "NATS_LISTEN": elsewhere + ":4222"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.environ["HOST"] == "" {
				test.environ["HOST"], test.environ["PORT"] = "127.0.0.1", "0"
			}
			cfg, err := config.Load(test.environ)
			if err != nil {
				t.Fatal(err)
			}
			switch err := cfg.CheckMachine(); {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// A port can be given to one listener only, however its host is written.
func TestOneListenerAPort(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ map[string]string
		refused bool
	}{
		"the same":            {map[string]string{"HOST": "127.0.0.1", "ADMIN_ADDR": "127.0.0.1:3001"}, true},
		"a name for it":       {map[string]string{"HOST": "localhost", "NATS_LISTEN": "127.0.0.1:3001"}, true},
		"every interface":     {map[string]string{"ADMIN_ADDR": "127.0.0.1:3001"}, true},
		"NATS and operators":  {map[string]string{"ADMIN_ADDR": "0.0.0.0:4222", "NATS_LISTEN": "[::1]:4222"}, true},
		"NATS twice":          {map[string]string{"NATS_CLUSTER": "127.0.0.1:6222", "NATS_LISTEN": ":6222"}, true},
		"any free port":       {map[string]string{"HOST": "127.0.0.1", "PORT": "0", "ADMIN_ADDR": "127.0.0.1:0"}, false},
		"two of this machine": {map[string]string{"HOST": "127.0.0.1", "ADMIN_ADDR": "127.0.0.2:3001"}, false},
		"NATS apart":          {map[string]string{"NATS_URL": "nats://a:4222", "NATS_LISTEN": ":3001"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := config.Load(test.environ); errors.Is(err, config.ErrInvalid) != test.refused {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Values at which the start failed, or the process ended with a panic.
func TestExtremesThatCannotStart(t *testing.T) {
	t.Parallel()
	for setting, value := range map[string]string{
		"NATS_SYNC": "1ns", "SHUTDOWN_TIMEOUT": "1ns", "STREAM_MAX_BYTES": "9223372036854775807",
		"NATS_CLUSTER": "127.0.0.1:0", "NATS_CLUSTER_LISTEN": "127.0.0.1:0",
	} {
		if _, err := config.Load(map[string]string{setting: value}); !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s=%s: %v", setting, value, err)
		}
	}
}
