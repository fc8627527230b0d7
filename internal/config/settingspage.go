package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Page is docs/configuration.md: every setting with its default and
// meaning, by subject. It says what the struct tags of [Config] say.
func Page() string {
	var page strings.Builder
	page.WriteString(settingsIntroduction)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if group := field.Tag.Get("group"); group != "" {
			fmt.Fprintf(&page, "\n## %s\n\n| variable | default | meaning |\n| --- | --- | --- |\n", group)
		}
		value := field.Tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "` "
		}
		fmt.Fprintf(&page, "| `%s` | %s| %s |\n", field.Tag.Get("env"), value, strings.ReplaceAll(field.Tag.Get("doc"), "|", `\|`))
	}
	return page.String()
}

const settingsIntroduction = `<!-- Written by "realtime config -o markdown" from the tags of internal/config.Config. Change those, not this page. -->

# Settings

Every setting is an environment variable, read once at the start. "realtime config" prints those in force, with passwords hidden.

A value that is out of its range stops the program with status 2 and a line that names the variable, the value and what is
allowed. So do settings that contradict each other, such as a cap below another. What is legal together and seldom meant, such as
every origin with tokens off, is a warning in the log and of "realtime config"; with ENVIRONMENT=production, what leaves the
service open is refused.

Durations are Go's, such as 90s, 2m or 720h.
`
