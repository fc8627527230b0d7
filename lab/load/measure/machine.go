package measure

import (
	"os"
	"runtime"
	"strings"
)

// Machine says where a run was made, for its report: words, not measurements.
func Machine() map[string]string {
	m := map[string]string{"system": runtime.GOOS + "/" + runtime.GOARCH, "go": runtime.Version()}
	for what, source := range map[string]struct{ file, prefix string }{
		"processor": {"/proc/cpuinfo", "model name"}, "memory": {"/proc/meminfo", "MemTotal"}, "kernel": {"/proc/sys/kernel/osrelease", ""},
	} {
		if text := firstLine(source.file, source.prefix); text != "" {
			m[what] = text
		}
	}
	return m
}

// firstLine returns the value of the first line that begins so; nothing on systems
// without the file.
func firstLine(file, prefix string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if value, has := strings.CutPrefix(line, prefix); has {
			return strings.Trim(value, " \t:\n")
		}
	}
	return ""
}
