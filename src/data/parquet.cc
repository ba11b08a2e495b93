/*
 * parquet.cc - the only C++ of this module: Arrow's Parquet behind extern "C" (see parquet.h).
 *
 * DESIGN. Every entry point is one try block: Arrow reports most failures as Status, Parquet throws, allocation throws;
 * all end as one fw_err. Files are read with pread rather than mapped, so that a file cut short under us is an error
 * and not a signal. A reader allocates from a pool with a ceiling of 1 GiB plus sixteen times the file: a hostile
 * header that asks for more gets "out of memory" instead of the machine's.
 */
#include "data/parquet.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/c/bridge.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>

#include <exception>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

struct fw_pq_reader {
    std::string where;
    std::unique_ptr<arrow::CappedMemoryPool> pool;
    std::unique_ptr<parquet::arrow::FileReader> file;
    std::map<std::string, std::string> meta;
    int groups[2] = {0, 0}; /* row groups [first, last) that `part` holds, which begin at row part_row */
    int64_t part_row = 0;
    std::shared_ptr<arrow::Table> part;
};

struct fw_pq_writer {
    std::string path;
    std::shared_ptr<arrow::Schema> schema;
    std::shared_ptr<arrow::io::FileOutputStream> sink;
    std::unique_ptr<parquet::arrow::FileWriter> file;
};

namespace {

std::string first_line(const std::string &s) {
    return s.substr(0, s.find('\n'));
}

fw_status fail(fw_err *err, fw_status code, const std::string &where, const std::string &what) {
    return fw_fail(err, code, "%s: %s", where.c_str(), first_line(what).c_str());
}

fw_status fail(fw_err *err, const std::string &where, const arrow::Status &s) {
    fw_status code = s.IsIOError() ? FW_IO : s.IsOutOfMemory() ? FW_NOMEM : FW_FORMAT;
    return fail(err, code, where, s.message());
}

/* Runs body; an exception becomes an error about `where`. */
template <class F> fw_status guarded(const std::string &where, fw_err *err, F body) noexcept {
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return fw_fail(err, FW_NOMEM, "out of memory");
    } catch (const parquet::ParquetStatusException &e) {
        return fail(err, where, e.status());
    } catch (const std::exception &e) {
        return fw_fail(err, FW_FORMAT, "%s: %s", where.c_str(), e.what());
    } catch (...) {
        return fw_fail(err, FW_FORMAT, "%s: unknown exception", where.c_str());
    }
}

fw_status open_reader(const std::string &where, arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> opened,
                      fw_pq_reader **out, fw_err *err) {
    if (!opened.ok()) {
        return fail(err, FW_IO, where, opened.status().message());
    }
    std::shared_ptr<arrow::io::RandomAccessFile> src = *opened;
    auto size = src->GetSize();
    if (!size.ok()) {
        return fail(err, where, size.status());
    }
    auto r = std::make_unique<fw_pq_reader>();
    r->where = where;
    r->pool = std::make_unique<arrow::CappedMemoryPool>(arrow::default_memory_pool(), (int64_t{1} << 30) + 16 * *size);
    parquet::arrow::FileReaderBuilder b;
    arrow::Status s = b.Open(src, parquet::ReaderProperties(r->pool.get()));
    if (!s.ok()) {
        return fail(err, s.IsIOError() ? FW_IO : FW_FORMAT, where, s.message());
    }
    parquet::ArrowReaderProperties p(/*use_threads=*/false);
    p.set_batch_size(65536);
    p.set_pre_buffer(false);
    s = b.properties(p)->memory_pool(r->pool.get())->Build(&r->file);
    if (!s.ok()) {
        return fail(err, where, s);
    }
    auto kv = r->file->parquet_reader()->metadata()->key_value_metadata();
    for (int64_t i = 0; kv != nullptr && i < kv->size(); i++) {
        r->meta[kv->key(i)] = kv->value(i);
    }
    *out = r.release();
    return FW_OK;
}

/* A RecordBatchReader that never throws: ExportRecordBatchReader's callbacks run in C frames. */
class SafeBatches : public arrow::RecordBatchReader {
  public:
    explicit SafeBatches(std::unique_ptr<arrow::RecordBatchReader> r) : r_(std::move(r)) {}
    std::shared_ptr<arrow::Schema> schema() const override { return r_->schema(); }
    arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch> *out) override {
        try {
            ARROW_RETURN_NOT_OK(r_->ReadNext(out));
            return *out == nullptr ? arrow::Status::OK() : (*out)->Validate();
        } catch (const std::exception &e) {
            return arrow::Status::Invalid(e.what());
        }
    }

  private:
    std::unique_ptr<arrow::RecordBatchReader> r_;
};

void add_leaves(const parquet::arrow::SchemaField &f, std::vector<int> *leaves) {
    if (f.is_leaf()) {
        leaves->push_back(f.column_index);
    }
    for (const auto &c : f.children) {
        add_leaves(c, leaves);
    }
}

}  // namespace

extern "C" fw_status fw_pq_open(const char *path, fw_pq_reader **out, fw_err *err) {
    *out = nullptr;
    return guarded(path, err, [&] { return open_reader(path, arrow::io::ReadableFile::Open(path), out, err); });
}

extern "C" fw_status fw_pq_open_mem(const void *data, size_t n, const char *where, fw_pq_reader **out, fw_err *err) {
    *out = nullptr;
    return guarded(where, err, [&] {
        auto buf = std::make_shared<arrow::Buffer>(static_cast<const uint8_t *>(data), static_cast<int64_t>(n));
        return open_reader(where, std::shared_ptr<arrow::io::RandomAccessFile>(new arrow::io::BufferReader(buf)), out,
                           err);
    });
}

extern "C" void fw_pq_close(fw_pq_reader *r) {
    delete r;
}

extern "C" int64_t fw_pq_rows(const fw_pq_reader *r) {
    return r->file->parquet_reader()->metadata()->num_rows();
}

extern "C" int fw_pq_row_groups(const fw_pq_reader *r) {
    return r->file->num_row_groups();
}

extern "C" int64_t fw_pq_group_rows(const fw_pq_reader *r, int group) {
    int64_t rows = -1;
    (void)guarded(r->where, nullptr, [&] {
        rows = r->file->parquet_reader()->metadata()->RowGroup(group)->num_rows();
        return FW_OK;
    });
    return rows;
}

extern "C" const char *fw_pq_meta(const fw_pq_reader *r, const char *key) {
    auto it = r->meta.find(key);
    return it == r->meta.end() ? nullptr : it->second.c_str();
}

extern "C" fw_status fw_pq_schema(fw_pq_reader *r, struct ArrowSchema *out, fw_err *err) {
    return guarded(r->where, err, [&] {
        std::shared_ptr<arrow::Schema> schema;
        arrow::Status s = r->file->GetSchema(&schema);
        if (s.ok()) {
            s = arrow::ExportSchema(*schema, out);
        }
        return s.ok() ? FW_OK : fail(err, r->where, s);
    });
}

extern "C" fw_status fw_pq_stream(fw_pq_reader *r, const int *columns, int n, int group_begin, int group_end,
                                  struct ArrowArrayStream *out, fw_err *err) {
    return guarded(r->where, err, [&] {
        const auto &fields = r->file->manifest().schema_fields;
        std::vector<int> groups, leaves;
        for (int g = group_begin; g < group_end; g++) {
            groups.push_back(g);
        }
        for (int i = 0; i < n; i++) {
            if (columns[i] < 0 || static_cast<size_t>(columns[i]) >= fields.size()) {
                return fw_fail(err, FW_INVALID, "%s: no column %d", r->where.c_str(), columns[i]);
            }
            add_leaves(fields[static_cast<size_t>(columns[i])], &leaves);
        }
        auto batches = r->file->GetRecordBatchReader(groups, leaves);
        if (!batches.ok()) {
            return fail(err, r->where, batches.status());
        }
        arrow::Status s = arrow::ExportRecordBatchReader(std::make_shared<SafeBatches>(std::move(*batches)), out);
        return s.ok() ? FW_OK : fail(err, r->where, s);
    });
}

namespace {

fw_status open_writer(const char *path, const std::shared_ptr<arrow::Schema> &schema, const fw_kv *kv, int n_kv,
                      fw_pq_writer **out, fw_err *err) {
    auto w = std::make_unique<fw_pq_writer>();
    w->path = path;
    auto meta = std::make_shared<arrow::KeyValueMetadata>();
    for (int i = 0; i < n_kv; i++) {
        meta->Append(kv[i].key, kv[i].value);
    }
    w->schema = n_kv > 0 ? schema->WithMetadata(meta) : schema->RemoveMetadata();
    auto sink = arrow::io::FileOutputStream::Open(path);
    if (!sink.ok()) {
        return fail(err, FW_IO, path, sink.status().message());
    }
    w->sink = *sink;
    auto props = parquet::WriterProperties::Builder().compression(parquet::Compression::SNAPPY)->build();
    auto arrow_props = parquet::ArrowWriterProperties::Builder().store_schema()->build();
    auto file = parquet::arrow::FileWriter::Open(*w->schema, arrow::default_memory_pool(), w->sink, props, arrow_props);
    if (!file.ok()) {
        return fail(err, path, file.status());
    }
    w->file = std::move(*file);
    *out = w.release();
    return FW_OK;
}

}  // namespace

extern "C" fw_status fw_pq_writer_open(const char *path, struct ArrowSchema *schema, const fw_kv *kv, int n_kv,
                                       fw_pq_writer **out, fw_err *err) {
    *out = nullptr;
    return guarded(path, err, [&] {
        auto imported = arrow::ImportSchema(schema);
        return imported.ok() ? open_writer(path, *imported, kv, n_kv, out, err)
                             : fail(err, FW_INVALID, path, imported.status().message());
    });
}

extern "C" fw_status fw_pq_writer_add(fw_pq_writer *w, struct ArrowArray *batch, fw_err *err) {
    return guarded(w->path, err, [&] {
        auto b = arrow::ImportRecordBatch(batch, w->schema);
        if (!b.ok()) {
            return fail(err, FW_INVALID, w->path, b.status().message());
        }
        auto table = arrow::Table::FromRecordBatches(w->schema, {*b});
        if (!table.ok()) {
            return fail(err, w->path, table.status());
        }
        arrow::Status s = w->file->WriteTable(**table, (*b)->num_rows() > 0 ? (*b)->num_rows() : 1);
        return s.ok() ? FW_OK : fail(err, w->path, s);
    });
}

extern "C" int64_t fw_pq_writer_bytes(const fw_pq_writer *w) {
    auto at = w->sink->Tell();
    return at.ok() ? *at : 0;
}

extern "C" fw_status fw_pq_writer_close(fw_pq_writer *w, fw_err *err) {
    fw_status st = guarded(w->path, err, [&] {
        arrow::Status s = w->file->Close();
        if (s.ok()) {
            s = w->sink->Close();
        }
        return s.ok() ? FW_OK : fail(err, w->path, s);
    });
    fw_pq_writer_abort(w);
    return st;
}

extern "C" void fw_pq_writer_abort(fw_pq_writer *w) {
    (void)guarded("", nullptr, [&] {
        delete w; /* the FileWriter's destructor may try to write a footer: harmless, the caller removes the file */
        return FW_OK;
    });
}

/* --- rows as they are --- */

namespace {

/* The row groups that hold rows [a, b), read once and kept: episodes of a group ask one after the other. */
arrow::Status load_groups(fw_pq_reader *r, int64_t a, int64_t b) {
    auto meta = r->file->parquet_reader()->metadata();
    std::vector<int> groups;
    int64_t row = 0, first = 0;
    for (int g = 0; g < meta->num_row_groups(); g++) {
        int64_t next = row + meta->RowGroup(g)->num_rows();
        if (next > a && row < b) {
            first = groups.empty() ? row : first;
            groups.push_back(g);
        }
        row = next;
    }
    if (a < 0 || b < a || b > row || groups.empty()) {
        return arrow::Status::Invalid("wanted rows ", a, "..", b, ", the file has ", row);
    }
    if (r->part != nullptr && r->groups[0] <= groups.front() && groups.back() < r->groups[1]) {
        return arrow::Status::OK();
    }
    r->part = nullptr;
    ARROW_ASSIGN_OR_RAISE(r->part, r->file->ReadRowGroups(groups));
    ARROW_RETURN_NOT_OK(r->part->Validate());
    r->groups[0] = groups.front();
    r->groups[1] = groups.back() + 1;
    r->part_row = first;
    return arrow::Status::OK();
}

/* n values as an array of a number type. */
arrow::Result<std::shared_ptr<arrow::Array>> number_array(const std::shared_ptr<arrow::DataType> &type,
                                                          const fw_pq_column &c, int64_t n) {
    auto set = [&](auto builder, auto zero) -> arrow::Result<std::shared_ptr<arrow::Array>> {
        ARROW_RETURN_NOT_OK(builder.Reserve(n));
        for (int64_t i = 0; i < n; i++) {
            builder.UnsafeAppend(
                static_cast<decltype(zero)>(c.i64 != nullptr ? static_cast<double>(c.i64[i]) : c.f64[i]));
        }
        return builder.Finish();
    };
    switch (type->id()) {
    case arrow::Type::INT64: {
        arrow::Int64Builder b;
        ARROW_RETURN_NOT_OK(b.Reserve(n));
        for (int64_t i = 0; i < n; i++) {
            b.UnsafeAppend(c.i64 != nullptr ? c.i64[i] : static_cast<int64_t>(c.f64[i]));
        }
        return b.Finish();
    }
    case arrow::Type::INT32:
        return set(arrow::Int32Builder(), int32_t{0});
    case arrow::Type::FLOAT:
        return set(arrow::FloatBuilder(), float{0});
    case arrow::Type::DOUBLE:
        return set(arrow::DoubleBuilder(), double{0});
    default:
        return arrow::Status::NotImplemented("column '", c.name, "' is of type ", type->ToString());
    }
}

arrow::Status add_rows(fw_pq_writer *w, fw_pq_reader *r, int64_t a, int64_t b, const fw_pq_column *other, int n) {
    ARROW_RETURN_NOT_OK(load_groups(r, a, b));
    auto t = r->part->Slice(a - r->part_row, b - a);
    for (int i = 0; i < n; i++) {
        int at = t->schema()->GetFieldIndex(other[i].name);
        if (at < 0) {
            return arrow::Status::Invalid("wanted a column '", other[i].name, "'");
        }
        ARROW_ASSIGN_OR_RAISE(auto values, number_array(t->field(at)->type(), other[i], b - a));
        ARROW_ASSIGN_OR_RAISE(t, t->SetColumn(at, t->field(at), std::make_shared<arrow::ChunkedArray>(values)));
    }
    ARROW_ASSIGN_OR_RAISE(t, t->CombineChunks());
    t = t->ReplaceSchemaMetadata(w->schema->metadata());
    return w->file->WriteTable(*t, b - a > 0 ? b - a : 1);
}

}  // namespace

extern "C" fw_status fw_pq_writer_open_like(const char *path, fw_pq_reader *r, const fw_kv *kv, int n_kv,
                                            fw_pq_writer **out, fw_err *err) {
    *out = nullptr;
    return guarded(path, err, [&] {
        std::shared_ptr<arrow::Schema> schema;
        arrow::Status s = r->file->GetSchema(&schema);
        return s.ok() ? open_writer(path, schema, kv, n_kv, out, err) : fail(err, r->where, s);
    });
}

extern "C" bool fw_pq_writer_fits(const fw_pq_writer *w, fw_pq_reader *r) {
    bool fits = false;
    (void)guarded(r->where, nullptr, [&] {
        std::shared_ptr<arrow::Schema> schema;
        fits = r->file->GetSchema(&schema).ok() && w->schema->Equals(*schema, /*check_metadata=*/false);
        return FW_OK;
    });
    return fits;
}

extern "C" fw_status fw_pq_writer_add_rows(fw_pq_writer *w, fw_pq_reader *r, int64_t a, int64_t b,
                                           const fw_pq_column *other, int n, fw_err *err) {
    return guarded(r->where, err, [&] {
        arrow::Status s = add_rows(w, r, a, b, other, n);
        return s.ok() ? FW_OK : fail(err, r->where, s);
    });
}
