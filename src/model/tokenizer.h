/*
 * tokenizer.h - WordPiece as BERT (uncased) uses it: text -> ids of vocab.txt, with [CLS] in front and [SEP] at the end.
 *
 * DESIGN. One pass over the text, no allocation: control characters go, white space ends a word, punctuation and CJK
 * ideographs are words of their own, letters are decomposed, lose their accents and are lower-cased (unicode_table.h). A word is
 * then cut greedily into the longest known pieces; a word that cannot be cut, or is longer than 100 characters, is [UNK].
 * Names of special tokens in the text ("[SEP]") are plain text here: a sentence comes from outside. arXiv 1810.04805, 1609.08144.
 */
#ifndef FW_MODEL_TOKENIZER_H
#define FW_MODEL_TOKENIZER_H

#include <stdint.h>

#include "fw/status.h"

typedef struct fw_tokenizer fw_tokenizer;
/* Read a vocab.txt: one piece a line, its id = line number. It must hold [UNK], [CLS] and [SEP]; FW_FORMAT otherwise, or for a
 * piece listed twice. Afterwards immutable: any number of threads. */
FW_NODISCARD fw_status fw_tokenizer_open(const char *vocab_path, fw_tokenizer **out, fw_err *err);
void fw_tokenizer_close(fw_tokenizer *t);
int fw_tokenizer_size(const fw_tokenizer *t); /* number of ids */
/* ids[cap], cap >= 2; *n of them are written: text that needs more is cut before [SEP]. FW_FORMAT for text that is not UTF-8. */
FW_NODISCARD fw_status fw_tokenizer_encode(const fw_tokenizer *t, const char *text, int32_t *ids, int cap, int *n,
                                           fw_err *err);

#endif /* FW_MODEL_TOKENIZER_H */
