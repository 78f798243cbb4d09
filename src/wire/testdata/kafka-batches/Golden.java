// Writes the batches that README.md describes.
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;

public class Golden {
    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws Exception {
        for (CompressionType type : CompressionType.values()) {
            MemoryRecordsBuilder builder = MemoryRecords.builder(
                ByteBuffer.allocate(1 << 20), RecordBatch.MAGIC_VALUE_V2,
                Compression.of(type).build(), TimestampType.CREATE_TIME,
                1000L, 1700000000000L, 7L, (short) 2, 2147483600, false, 0);
            String large = "x".repeat(type == CompressionType.NONE ? 700 : 70000);
            for (int n = 0; n < 300; n++) {
                byte[] key = n % 3 == 0 ? null : n % 3 == 1 ? new byte[0] : bytes("key-" + n);
                byte[] value = n == 299 ? null
                    : bytes(n == 150 ? large : "{\"row\":\"" + n + "\",\"city\":\"Köln\"}");
                Header[] headers = n == 17
                    ? new Header[] {new RecordHeader("trace", bytes("abc"))} : new Header[0];
                builder.append(1700000000000L + n * 7, key, value, headers);
            }
            ByteBuffer built = builder.build().buffer();
            byte[] batch = new byte[built.remaining()];
            built.get(batch);
            Files.write(Path.of(arguments[0], type.name + ".batch"), batch);
        }
    }
}
