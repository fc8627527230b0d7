package config

import (
	"fmt"
	"strings"
)

// Page is docs/configuration.md: every setting with its default and
// meaning, by subject. It says what the struct tags of [Config] say.
func Page() string {
	var page strings.Builder
	page.WriteString(settingsIntroduction)
	for _, field := range settingFields() {
		if group := field.Tag.Get("group"); group != "" {
			fmt.Fprintf(&page, "\n## %s\n\n| variable | default | SIGHUP | meaning |\n| --- | --- | --- | --- |\n", group)
		}
		value := field.Tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "` "
		}
		name := field.Tag.Get("env")
		reload := ""
		if field.Tag.Get("reload") != "" {
			reload = "yes "
		}
		fmt.Fprintf(&page, "| `%s` | %s| %s| %s |\n", name, value, reload, strings.ReplaceAll(field.Tag.Get("doc"), "|", `\|`))
		if field.Tag.Get("secret") != "" {
			fmt.Fprintf(&page, "| `%s` | | %s| %s |\n", name+secretSuffix, reload, secretFileMeaning(name))
		}
	}
	return page.String()
}

const settingsIntroduction = `<!-- Written by "realtime config -o markdown" from the tags of internal/config.Config. Change those, not this page. -->

# Settings

Every setting is an environment variable. CONFIG_FILE names a TOML file with settings under the same names; the environment goes
before the file, and the file before the default. What has a secret in it can stand in a file of its own: NAME_FILE is the path of
the file whose content is NAME, without the line's end. "realtime config" prints what is in force, with passwords hidden, "realtime
config init" writes a settings file with everything in it as comments, and "realtime config check" checks one.

A value that is out of its range stops the program with status 2 and a line that names the variable, the value and what is
allowed. So do settings that contradict each other, such as a cap below another. What is legal together and seldom meant, such as
every origin with tokens off, is a warning in the log and of "realtime config"; with ENVIRONMENT=production, what leaves the
service open is refused.

SIGHUP reads the files again, CONFIG_FILE, those of secrets, CATALOGUE_FILE and the certificate, and applies the settings that have "yes" in
the third column without ending a connection; others take a restart. What is invalid changes nothing. Sockets that are connected
stay, also beyond a new limit, and keep the rates that they began with. A new idle timeout counts for them, too.

Durations are Go's, such as 90s, 2m or 720h.
`
