package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// allowed are the licences of what may be shipped, as SPDX names them: they ask for notices
// at most, the Mozilla licence also for the source of its own files, which is public.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "CC0-1.0", "0BSD"}

// licenceFile is how files with a licence or a notice are named.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|unlicense)([-._].*)?$`)

// signs are sentences that a licence has and no other one; that of BSD comes in two.
var signs = []struct{ licence, text string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "permission to use, copy, modify, and or distribute this software for any purpose with or without fee is hereby granted, provided that"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted, provided that"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"GPL", "gnu general public license"},
	{"GPL", "gnu lesser general public license"},
	{"GPL", "gnu affero general public license"},
	{"BUSL", "business source license"},
	{"SSPL", "server side public license"},
	{"Elastic", "elastic license"},
}

const (
	bsd      = "redistribution and use in source and binary forms, with or without modification, are permitted"
	bsdThird = "used to endorse or promote products derived from this software without specific prior written permission"
)

// licencesIn returns the licences whose text stands in a file.
func licencesIn(text string) (licences []string) {
	// Without the signs of comments and of lists, and whatever the width of its lines.
	plain := strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r == ' ' || r == '\n' || r == '\r' || r == '\t' || r == '*' || r == '#' || r == '/' || r == '"' || r == '>'
	}), " ")
	for _, sign := range signs {
		// The Mozilla licence names the ones of GNU as secondary.
		if strings.Contains(strings.ReplaceAll(plain, "license, version", "license version"), sign.text) && (sign.licence != "GPL" || !slices.Contains(licences, "MPL-2.0")) {
			licences = append(licences, sign.licence)
		}
	}
	switch {
	case strings.Contains(plain, bsdThird):
		licences = append(licences, "BSD-3-Clause")
	case strings.Contains(plain, bsd):
		licences = append(licences, "BSD-2-Clause")
	}
	slices.Sort(licences)
	return slices.Compact(licences)
}

// notice is a file that goes with a module.
type notice struct{ name, text string }

// licenceOf reads the licence of the module in a folder, as an expression of SPDX, and the
// files that say it.
func licenceOf(dir string) (expression string, notices []notice, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, err
	}
	var licences []string
	for _, entry := range entries {
		if entry.IsDir() || !licenceFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return "", nil, err
		}
		notices = append(notices, notice{entry.Name(), string(text)})
		licences = append(licences, licencesIn(string(text))...)
	}
	slices.Sort(licences)
	licences = slices.Compact(licences)
	if len(licences) == 0 {
		return "", nil, fmt.Errorf("%s has no licence that is recognized", dir)
	}
	for _, licence := range licences {
		if !slices.Contains(allowed, licence) {
			return "", nil, fmt.Errorf("%s has the licence %s, which is not among those that may be shipped: %s", dir, licence, strings.Join(allowed, ", "))
		}
	}
	return strings.Join(licences, " AND "), notices, nil
}
