package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/letswriteabook/realtime/internal/address"
)

// Setting is one setting as people see it.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	// Reload says that SIGHUP applies a new value.
	Reload  bool   `json:"reload"`
	Meaning string `json:"meaning"`
}

// Settings lists the effective settings in the order of the struct, with
// passwords hidden.
func (c Config) Settings() []Setting {
	value := reflect.ValueOf(c)
	var settings []Setting
	for _, field := range settingFields() {
		setting := Setting{
			Name:    field.Tag.Get("env"),
			Value:   format(value.FieldByIndex(field.Index)),
			Default: field.Tag.Get("envDefault"),
			Reload:  field.Tag.Get("reload") != "",
			Meaning: field.Tag.Get("doc"),
		}
		setting.Value = redact(field, setting.Value)
		settings = append(settings, setting)
		if name := setting.Name; field.Tag.Get("secret") != "" {
			settings = append(settings, Setting{Name: name + secretSuffix, Value: c.secretFiles[name], Reload: setting.Reload, Meaning: secretFileMeaning(name)})
		}
	}
	return settings
}

func format(value reflect.Value) string {
	if list, ok := value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(value.Interface())
}

// redact hides what is secret in the value of a setting: the passwords in addresses,
// also where no address belongs, or all of it.
func redact(field reflect.StructField, value string) string {
	switch {
	case value == "":
		return ""
	case field.Tag.Get("secret") == "url":
		return address.Shown(value)
	case field.Tag.Get("secret") == "value":
		return "(hidden)"
	}
	return address.WithoutLogins(value)
}
