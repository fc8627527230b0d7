// Package audit keeps the audit trail of the log, the stream NOVEL_AUDIT: what was erased,
// by whom and why, and who changed the settings of the log. Nothing is deleted from it.
//
//	stream NOVEL_AUDIT       novel.audit.erasure.<token of the job>, novel.audit.settings, novel.audit.reload
//	  republished to         novel.erased.<token of the job>, without content
package audit
