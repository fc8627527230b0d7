package processes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Find locates the programs that a system needs: in the folder of executable, which is the
// caller's own program, or on the PATH; in the folder of the module or below it they are
// built into dir with Go. nats says whether nats-server is needed, and dev whether
// realtime-dev is, which has the lab's MongoDB-protocol server. The error matches
// [ErrNoProgram], and says what is missing.
func Find(ctx context.Context, executable, dir string, nats, dev bool) (Programs, error) {
	programs := Programs{}
	root, err := moduleRoot(".")
	if err == nil {
		if _, err := os.Stat(filepath.Join(root, packages["realtime-dev"])); err == nil {
			programs.Root = root // only if it is this module
		}
	}
	if programs.Redis, err = exec.LookPath("redis-server"); err != nil {
		return Programs{}, fmt.Errorf("%w: redis-server is not on the PATH: install it", ErrNoProgram)
	}
	wanted := programs.built()
	for name, path := range wanted {
		if name == "nats-server" && !nats || name == "realtime-dev" && !dev {
			continue
		}
		if *path, err = find(ctx, programs.Root, filepath.Dir(executable), dir, name); err != nil {
			return Programs{}, err
		}
	}
	return programs, nil
}

func find(ctx context.Context, root, beside, dir, name string) (string, error) {
	path := filepath.Join(beside, name)
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	if _, err := exec.LookPath("go"); err != nil || root == "" {
		return "", fmt.Errorf("%w: %s is neither beside realtime-lab nor on the PATH, and cannot be built: "+
			"that takes Go and the source tree as the current folder", ErrNoProgram, name)
	}
	return build(ctx, root, dir, name)
}
