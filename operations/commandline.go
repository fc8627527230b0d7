package operations

import "strings"

// CommandLine returns a command of the program realtime as an operator can type it: each
// argument is quoted for a POSIX shell where it needs to be.
func CommandLine(args ...string) string {
	var line strings.Builder
	line.WriteString("realtime")
	for _, arg := range args {
		line.WriteByte(' ')
		line.WriteString(quoted(arg))
	}
	return line.String()
}

func quoted(arg string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@%+"
	if arg != "" && strings.Trim(arg, plain) == "" {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
