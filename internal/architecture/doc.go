// Package architecture holds the tests that keep the project's shape: which
// package may import which, who may read the environment, how long a file may
// grow, and that every package says what it is for.
//
// The tests read the source files of the whole module, so they see every build
// constraint and every platform, and report a violation as file:line, what was
// used there, and the rule that speaks against it. Folders that .gitignore
// names are no part of the project and are not read.
//
// The rules are data, in rules_test.go. A package without a rule is itself a
// violation: its author decides there what it may depend on. The
// judgement is a pure function of the sources and the rules, and is tested
// against made-up sources, one violation for each rule, so that a rule which
// can no longer fail is noticed.
//
// The package has no code outside its tests and starts no goroutine.
package architecture
