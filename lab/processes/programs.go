package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrNoProgram is matched if a required program is not installed.
var ErrNoProgram = errors.New("program is not installed")

// The programs that can be built, by name.
var packages = map[string]string{
	"realtime":     "./cmd/realtime",
	"realtime-dev": "./cmd/realtime-dev",
	"nats-server":  "github.com/nats-io/nats-server/v2",
}

// Programs has the paths of the programs. [Build] and [Find] return one. Programs that a
// system does not run may be missing.
type Programs struct {
	// Root is the folder of the module; empty when there is none.
	Root string
	// Realtime and Dev are cmd/realtime and cmd/realtime-dev.
	Realtime, Dev string
	// NATS and Redis are nats-server and redis-server.
	NATS, Redis string
}

// Build builds the module's programs and the NATS server into a folder, which may have them
// already. root is the folder of the module, or one below it. The error matches
// [ErrNoProgram] if redis-server is not installed.
func Build(ctx context.Context, root, dir string) (Programs, error) {
	root, err := moduleRoot(root)
	if err != nil {
		return Programs{}, err
	}
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return Programs{}, fmt.Errorf("%w: redis-server: %w", ErrNoProgram, err)
	}
	programs := Programs{Root: root, Redis: redis}
	for name, path := range programs.built() {
		if *path, err = build(ctx, root, dir, name); err != nil {
			return Programs{}, err
		}
	}
	return programs, nil
}

// built returns the fields of the programs that can be built.
func (p *Programs) built() map[string]*string {
	return map[string]*string{"realtime": &p.Realtime, "realtime-dev": &p.Dev, "nats-server": &p.NATS}
}

func build(ctx context.Context, root, dir, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", fmt.Errorf("folder of the programs: %w", err)
	}
	command := exec.CommandContext(ctx, "go", "build", "-o", path, packages[name])
	command.Dir = root
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", packages[name], err, said)
	}
	return path, nil
}

// Versions returns the versions of the programs, one line each, for a report.
func (p Programs) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{}
	for name, command := range map[string][]string{
		"go":           {"go", "version"},
		"nats-server":  {p.NATS, "--version"},
		"redis-server": {p.Redis, "--version"},
	} {
		if command[0] == "" {
			continue
		}
		said, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if errors.Is(err, exec.ErrNotFound) {
			continue // no Go here, and none was needed
		}
		if err != nil {
			versions[name] = "unknown: " + err.Error()
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
		versions[name] = first
	}
	return versions
}

// moduleRoot returns the folder with go.mod, searching from dir upwards.
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
