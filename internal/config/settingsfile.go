package config

import (
	"fmt"
	"reflect"
	"strings"
)

// SettingsFile is a settings file for CONFIG_FILE with every setting as a comment: what
// it means, and its default as a value.
func SettingsFile() string {
	var text strings.Builder
	text.WriteString(settingsFileIntroduction)
	for _, field := range settingFields() {
		name := field.Tag.Get("env")
		if name == settingsFile {
			continue
		}
		if group := field.Tag.Get("group"); group != "" {
			fmt.Fprintf(&text, "\n# ---- %s ----\n", group)
		}
		fmt.Fprintf(&text, "\n%s\n#%s = %s\n", commented(field.Tag.Get("doc")), name, tomlValue(field))
		if field.Tag.Get("secret") != "" {
			fmt.Fprintf(&text, "#%s%s = \"\"\n", name, secretSuffix)
		}
	}
	return text.String()
}

// tomlValue returns the default of a setting in TOML.
func tomlValue(field reflect.StructField) string {
	value := field.Tag.Get("envDefault")
	switch {
	case field.Type.Kind() == reflect.Bool, field.Type.PkgPath() == "" && isNumber(field.Type.Kind()):
		return value
	case field.Type.Kind() == reflect.Slice:
		return `["` + strings.Join(strings.Split(value, ","), `", "`) + `"]`
	}
	return `"` + value + `"`
}

func isNumber(kind reflect.Kind) bool { return kind == reflect.Int || kind == reflect.Int64 }

// commented returns a text as comment lines.
func commented(text string) string {
	const width = 98
	var lines []string
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			lines, line = append(lines, line), "#"
		}
		line += " " + word
	}
	return strings.Join(append(lines, line), "\n")
}

const settingsFileIntroduction = `# Settings of realtime. CONFIG_FILE is the path of this file.
#
# The names are those of the environment variables. The environment goes before this file, and
# this file before the defaults, which are the values below. Secrets may stand in files of their
# own: NAME_FILE is the path of a file whose content is NAME. Durations are Go's, such as 90s, 2m
# or 720h. "realtime config check --file PATH" checks the file.
`
