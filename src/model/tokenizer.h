/*
 * tokenizer.h - text -> ids, as the published policies were trained to read it.
 *
 *     fw_tokenizer *t;
 *     fw_tokenizer_open("pretrained_model", &t, err);          // a folder, or one of its files
 *     fw_tokenizer_encode(t, "pick the cup\n", ids, 48, &n, err); // cut at 48
 *     fw_tokenizer_pad(t, ids, n, 48);                          // "max_length" padding, right side
 *
 * Three kinds, told by the file:
 *   tokenizer.json   byte-pair encoding, byte-level (SmolLM2, SmolVLM2, GPT-2) or with byte fallback (Gemma, PaliGemma)
 *   tokenizer.model  SentencePiece BPE (Gemma's own file)
 *   vocab.txt        WordPiece, uncased, [CLS] in front and [SEP] at the end (BERT, MiniLM)
 *
 * Ids equal those of the reference libraries (`tokenizers`, `sentencepiece`). What a file asks for and is not implemented here is
 * refused by its name: text that is split otherwise gives other ids, and a policy is told what it was never trained on.
 *
 * SPECIAL TOKENS IN THE TEXT. BPE: an added token's name in the text ("<image>") becomes its id, as the reference does and the
 * policies were trained. SentencePiece: user-defined symbols do, control symbols do not. WordPiece: all is plain text.
 */
#ifndef FW_MODEL_TOKENIZER_H
#define FW_MODEL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "fw/status.h"

typedef struct fw_tokenizer fw_tokenizer;
/* path: a file, or a folder that holds tokenizer.json, else tokenizer.model, else vocab.txt; beside them tokenizer_config.json is
 * read for the padding token and add_bos_token/add_eos_token. Any other name is a vocab.txt: one piece a line, its id = line number.
 * FW_FORMAT names the file and what it has that is wrong or unknown. Afterwards immutable: any number of threads. */
FW_NODISCARD fw_status fw_tokenizer_open(const char *path, fw_tokenizer **out, fw_err *err);
void fw_tokenizer_close(fw_tokenizer *t);

/* Number of ids, the largest + 1. */
int fw_tokenizer_size(const fw_tokenizer *t);
/* The same without added tokens: an embedding table with fewer rows does not fit. Added ones may lie beyond it (PaliGemma's
 * "<image>" does) and turn up only where the text names them: check ids against the table. */
int fw_tokenizer_text_size(const fw_tokenizer *t);
/* The id that fills a sequence up; 0 when the files name none (what is padded is masked). */
int32_t fw_tokenizer_pad_id(const fw_tokenizer *t);
/* The id of a piece, -1 when there is none: fw_tokenizer_find(t, "<image>"). */
int32_t fw_tokenizer_find(const fw_tokenizer *t, const char *piece);

/* ids[cap], cap >= 2; *n of them are written: text that needs more is cut, what is added around the text (BOS, [SEP]) is kept.
 * FW_FORMAT for text that is not UTF-8, FW_INVALID for more than 1 MiB of it. Allocates only for more than about 500 bytes of text. */
FW_NODISCARD fw_status fw_tokenizer_encode(const fw_tokenizer *t, const char *text, int32_t *ids, int cap, int *n,
                                           fw_err *err);
/* ids[n .. to) = pad id: right side, to = cap for "max_length", the longest of the batch for "longest". */
void fw_tokenizer_pad(const fw_tokenizer *t, int32_t *ids, int n, int to);

#endif /* FW_MODEL_TOKENIZER_H */
