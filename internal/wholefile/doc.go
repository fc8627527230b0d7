// Package wholefile replaces files so that a crash of the process or of the machine leaves
// the old content or the new one, and nothing between them.
package wholefile
