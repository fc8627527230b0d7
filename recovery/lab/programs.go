package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoProgram is matched when a program of the machine is not installed.
var ErrNoProgram = errors.New("program is not installed")

// packages are what [Build] builds, by the name of the program.
var packages = map[string]string{
	"realtime":     "./cmd/realtime",
	"realtime-dev": "./cmd/realtime-dev",
	"nats-server":  "github.com/nats-io/nats-server/v2",
}

// Programs says where the programs and the configuration files are. [Build]
// returns one.
type Programs struct {
	// Root is the folder of the module.
	Root string
	// Dir holds the programs that were built.
	Dir string
	// Redis is the machine's redis-server.
	Redis string
}

// Build builds the module's programs and the NATS server into a folder, in which
// they may stand already. root is the folder of the module, or one below it. The
// error matches [ErrNoProgram] without redis-server.
func Build(ctx context.Context, root, dir string) (Programs, error) {
	root, err := moduleRoot(root)
	if err != nil {
		return Programs{}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Programs{}, fmt.Errorf("folder of the programs: %w", err)
	}
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return Programs{}, fmt.Errorf("%w: redis-server: %w", ErrNoProgram, err)
	}
	for name, source := range packages {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), source)
		build.Dir = root
		if said, err := build.CombinedOutput(); err != nil {
			return Programs{}, fmt.Errorf("build %s: %w\n%s", source, err, said)
		}
	}
	return Programs{Root: root, Dir: dir, Redis: redis}, nil
}

// Versions returns what the programs are, one line each, as a report states it.
func (p Programs) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	for name, command := range map[string][]string{
		"go":           {"go", "version"},
		"nats-server":  {filepath.Join(p.Dir, "nats-server"), "--version"},
		"redis-server": {p.Redis, "--version"},
	} {
		said, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err != nil {
			versions[name] = "unknown: " + err.Error()
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		versions[name] = first
	}
	return versions
}

// moduleRoot finds the folder with go.mod, from the given one upwards.
func moduleRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find the module: %w", err)
		}
		dir = parent
	}
}
