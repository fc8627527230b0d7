package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The annotations of flags that [CommandLine] treats apart.
const (
	isPath  = "realtime_path"
	isLeft  = "realtime_left_out"
	shell   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@%+"
	program = "realtime"
)

// Path marks flags whose values are paths: [CommandLine] makes them absolute, because the
// command may be repeated in another folder.
func Path(command *cobra.Command, flags ...string) { annotate(command, isPath, flags) }

// NotRepeated marks flags that [CommandLine] leaves out, because what they ask for is done
// when the operation is continued, or because they only say how the result is shown.
func NotRepeated(command *cobra.Command, flags ...string) { annotate(command, isLeft, flags) }

// IsRepeated reports whether [CommandLine] keeps a flag that is set.
func IsRepeated(flag *pflag.Flag) bool { return flag.Name != "help" && flag.Annotations[isLeft] == nil }

func annotate(command *cobra.Command, annotation string, flags []string) {
	for _, name := range flags {
		if err := command.Flags().SetAnnotation(name, annotation, []string{"true"}); err != nil {
			panic(err) // the command has no such flag
		}
	}
}

// CommandLine returns the command with which an operator continues what was interrupted:
// a command that is running, with these arguments, and with every flag that it was given
// but those of [NotRepeated]. Each part is quoted for a POSIX shell where it needs to be.
func CommandLine(command *cobra.Command, args ...string) string {
	parts := strings.Fields(command.CommandPath())
	parts[0] = program
	parts = append(parts, args...)
	command.Flags().Visit(func(flag *pflag.Flag) { // those that were given, by name
		if !IsRepeated(flag) {
			return
		}
		switch flag.NoOptDefVal { // which a switch has, and takes no further part of the line
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

// Absolute returns a path that is good in every folder, or the path as it is if this
// folder is not known.
func Absolute(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return absolute
}

// asCSV returns a value as a flag of the type stringSlice reads it.
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
