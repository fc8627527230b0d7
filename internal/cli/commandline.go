package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of flags that [CommandLine] treats specially.
const (
	isPath  = "realtime_path"
	isLeft  = "realtime_left_out"
	shell   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@%+"
	program = "realtime"
)

// Path marks flags whose values are paths: [CommandLine] makes them absolute, because the
// command may be repeated in another folder.
func Path(command *cobra.Command, flags ...string) { annotate(command, isPath, flags) }

// NotRepeated marks flags that [CommandLine] omits: their effect is complete when the
// operation is continued, or they only affect the output.
func NotRepeated(command *cobra.Command, flags ...string) { annotate(command, isLeft, flags) }

// isRepeated reports whether [CommandLine] keeps a flag that is set.
func isRepeated(flag *pflag.Flag) bool { return flag.Name != "help" && flag.Annotations[isLeft] == nil }

func annotate(command *cobra.Command, annotation string, flags []string) {
	for _, name := range flags {
		if err := command.Flags().SetAnnotation(name, annotation, []string{"true"}); err != nil {
			panic(err) // the command has no such flag
		}
	}
}

// CommandLine returns the command with which an operator continues an interrupted
// operation: the running command with these arguments and with every given flag except
// those of [NotRepeated]. Each part is quoted for a POSIX shell if needed.
func CommandLine(command *cobra.Command, args ...string) string {
	parts := strings.Fields(command.CommandPath())
	parts[0] = program
	parts = append(parts, args...)
	command.Flags().Visit(func(flag *pflag.Flag) { // those that were given, by name
		if !isRepeated(flag) {
			return
		}
		switch flag.NoOptDefVal { // set for a switch, which takes no value
		case "":
		case flag.Value.String():
			parts = append(parts, "--"+flag.Name)
			return
		default:
			parts = append(parts, "--"+flag.Name+"="+flag.Value.String())
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			if flag.Annotations[isPath] != nil {
				value = Absolute(value)
			}
			if flag.Value.Type() == "stringSlice" {
				value = asCSV(value)
			}
			parts = append(parts, "--"+flag.Name, value)
		}
	})
	for i, part := range parts {
		parts[i] = quoted(part)
	}
	return strings.Join(parts, " ")
}

// Absolute returns an absolute path, or the path unchanged if the current folder is
// unknown.
func Absolute(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return absolute
}

// asCSV returns a value in the form that a flag of the type stringSlice parses.
func asCSV(value string) string {
	if !strings.ContainsAny(value, ",\"\n\r") {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

func quoted(part string) string {
	if part != "" && strings.Trim(part, shell) == "" {
		return part
	}
	return "'" + strings.ReplaceAll(part, "'", `'\''`) + "'"
}
