// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>

__rust_helper struct page *rust_helper_alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	return alloc_pages_node(nid, gfp, order);
}

__rust_helper void *rust_helper_page_address(const struct page *page)
{
	return page_address(page);
}

__rust_helper struct page *rust_helper_nth_page(struct page *page, unsigned long n)
{
	return page + n;
}

__rust_helper void *rust_helper_vmap_pages(struct page **pages, unsigned int count, bool decrypted)
{
	return vmap(pages, count, VM_MAP, decrypted ? pgprot_decrypted(PAGE_KERNEL) : PAGE_KERNEL);
}

__rust_helper unsigned long rust_helper_address_to_pfn(void *address)
{
	return is_vmalloc_addr(address) ? vmalloc_to_pfn(address) : virt_to_phys(address) >> PAGE_SHIFT;
}

__rust_helper unsigned int rust_helper_folio_order_of(struct page *page)
{
	return folio_order(page_folio(page));
}

__rust_helper void *rust_helper_vzalloc_pages(unsigned long count)
{
	return vzalloc(count << PAGE_SHIFT);
}
